"""Statistics: facts about a model on texts, collected once and known by everything that they were computed from.

The folder is the registry: a file's name is its statistic's name. A statistic is a :class:`Statistic` called
``STATISTIC`` in a file of its own; ``_shared`` holds what they share: texts as tokens, keys, the collection in windows
of tensors under a memory limit, and the folder where arrays are kept. This is the only room with hooks on modules and
with backward passes. Merging reads finished arrays through :class:`StatisticsFolder`, by key and tensor name.
"""

import importlib
from typing import TYPE_CHECKING, Any

from evomerge.statistics._shared.settings import StatisticsSettings, default_folder

if TYPE_CHECKING:
    from evomerge.statistics._fits.sensitivity import Sensitivities, measure
    from evomerge.statistics._fits.store import FITTED, fill_fitted, fitted_keys, forecast_fitted
    from evomerge.statistics._layerwise.layers import Flow, Layers
    from evomerge.statistics._layerwise.matrices import Matrix, inputs_of, matrices, write
    from evomerge.statistics._shared.collection import Collection, Limits, Progress, Window, collect
    from evomerge.statistics._shared.filling import fill
    from evomerge.statistics._shared.forecast import Forecast, forecast
    from evomerge.statistics._shared.key import Keyed, Wanted, key_of
    from evomerge.statistics._shared.machine import Machine
    from evomerge.statistics._shared.registry import load, names
    from evomerge.statistics._shared.statistic import LAYERS, Counts, Site, Statistic
    from evomerge.statistics._shared.store import StatisticsFolder
    from evomerge.statistics._shared.texts import Calibration, Passage, parts_of_text, read_lines

__all__ = [
    "FITTED",
    "LAYERS",
    "Calibration",
    "Collection",
    "Counts",
    "Flow",
    "Forecast",
    "Keyed",
    "Layers",
    "Limits",
    "Machine",
    "Matrix",
    "Passage",
    "Progress",
    "Sensitivities",
    "Site",
    "Statistic",
    "StatisticsFolder",
    "StatisticsSettings",
    "Wanted",
    "Window",
    "collect",
    "default_folder",
    "fill",
    "fill_fitted",
    "fitted_keys",
    "forecast",
    "forecast_fitted",
    "inputs_of",
    "key_of",
    "load",
    "matrices",
    "measure",
    "names",
    "parts_of_text",
    "read_lines",
    "write",
]

# Imported when first asked for: they bring torch, which the settings do without.
_HOMES = {
    "FITTED": "_fits.store",
    "Sensitivities": "_fits.sensitivity",
    "fill_fitted": "_fits.store",
    "fitted_keys": "_fits.store",
    "forecast_fitted": "_fits.store",
    "measure": "_fits.sensitivity",
    "LAYERS": "_shared.statistic",
    "Calibration": "_shared.texts",
    "Collection": "_shared.collection",
    "Counts": "_shared.statistic",
    "Flow": "_layerwise.layers",
    "Forecast": "_shared.forecast",
    "Keyed": "_shared.key",
    "Layers": "_layerwise.layers",
    "Limits": "_shared.collection",
    "Machine": "_shared.machine",
    "Matrix": "_layerwise.matrices",
    "Passage": "_shared.texts",
    "Progress": "_shared.collection",
    "Site": "_shared.statistic",
    "Statistic": "_shared.statistic",
    "StatisticsFolder": "_shared.store",
    "Wanted": "_shared.key",
    "Window": "_shared.collection",
    "collect": "_shared.collection",
    "fill": "_shared.filling",
    "forecast": "_shared.forecast",
    "inputs_of": "_layerwise.matrices",
    "key_of": "_shared.key",
    "load": "_shared.registry",
    "matrices": "_layerwise.matrices",
    "names": "_shared.registry",
    "parts_of_text": "_shared.texts",
    "read_lines": "_shared.texts",
    "write": "_layerwise.matrices",
}


def __getattr__(name: str) -> Any:
    """Imports what is asked for from its file."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
