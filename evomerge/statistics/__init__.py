"""Statistics: facts about a model on texts, collected once and known by everything that they were computed from.

The folder is the registry: a file's name is its statistic's name. A statistic is a :class:`Statistic` called
``STATISTIC`` in a file of its own; ``_shared`` holds what they share: texts as tokens, keys, the collection in windows
of tensors under a memory limit, and the folder where arrays are kept. This is the only room with hooks on modules and
with backward passes. Merging reads finished arrays through :class:`StatisticsFolder`, by key and tensor name.
"""

from evomerge.statistics._shared.collection import Collection, Limits, Progress, Window, collect
from evomerge.statistics._shared.filling import fill
from evomerge.statistics._shared.key import Keyed, Wanted, key_of
from evomerge.statistics._shared.registry import load, names
from evomerge.statistics._shared.settings import StatisticsSettings, default_folder
from evomerge.statistics._shared.statistic import Counts, Site, Statistic
from evomerge.statistics._shared.store import StatisticsFolder
from evomerge.statistics._shared.texts import Calibration, Passage, parts_of_text, read_lines

__all__ = [
    "Calibration",
    "Collection",
    "Counts",
    "Keyed",
    "Limits",
    "Passage",
    "Progress",
    "Site",
    "Statistic",
    "StatisticsFolder",
    "StatisticsSettings",
    "Wanted",
    "Window",
    "collect",
    "default_folder",
    "fill",
    "key_of",
    "load",
    "names",
    "parts_of_text",
    "read_lines",
]
