"""From a recipe and its checkpoints to merged tensors, in a live model or in a folder.

There is one merge loop, :meth:`Merger.stream`. A live model gives it memory of its own to merge into, thousands of
times in a search, and an export writes its stream once, so what was scored is what is exported.
"""

from evomerge.merging.export import companions, merge_to_folder
from evomerge.merging.footprint import Footprint, footprint
from evomerge.merging.live import LiveModel
from evomerge.merging.mergekit import mergekit_config
from evomerge.merging.merger import Buffer, Merger, NonFinite
from evomerge.merging.prepared import PreparedSettings
from evomerge.merging.residency import Residency
from evomerge.merging.sources import Sources

__all__ = [
    "Buffer",
    "Footprint",
    "LiveModel",
    "Merger",
    "NonFinite",
    "PreparedSettings",
    "Residency",
    "Sources",
    "companions",
    "footprint",
    "merge_to_folder",
    "mergekit_config",
]
