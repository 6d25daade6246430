"""Races: which candidates of a batch are asked more items. The folder is the registry, a file's name its race's name.

A window is asked in rungs, nested prefixes each three times as large. After each rung a race decides who is asked the
next one: a candidate that cannot stay, or surely stays, stops costing. A new race is one file,
``evomerge/search/allocation/races/myrace.py``, with ``RACE = RaceSpec(...)``: a function of the answers to common items
(`Standing`) to fates. Everyone is told an estimate, however many items it was asked.
"""

from __future__ import annotations

from evomerge.registry import Registry
from evomerge.search.allocation.races._shared.spec import IN, OPEN, OUT, RaceSpec, Standing

__all__ = ["IN", "OPEN", "OUT", "RaceSpec", "Standing", "load", "names"]

_REGISTRY = Registry[RaceSpec](__name__, __path__, "RACE", "race")
names = _REGISTRY.names
load = _REGISTRY.load
