"""The registry of statistics: the files of the folder above this one."""

from pathlib import Path

from evomerge.registry import Registry
from evomerge.statistics._shared.statistic import Statistic

_FOLDER = Path(__file__).parents[1]
_REGISTRY = Registry[Statistic]("evomerge.statistics", [str(_FOLDER)], "STATISTIC", "statistic")
names = _REGISTRY.names
load = _REGISTRY.load
