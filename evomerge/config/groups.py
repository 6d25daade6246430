"""Groups: settings that are chosen together. ``genome=blocks`` is ``genome.depth=blocks`` and that depth's defaults.

What may be chosen follows from the declarations: a new searcher's file is all it takes. YAML files under ``conf/`` add
named studies (``experiment=NAME``), named ways of asking for fitness (``fitness=NAME``) and further choices.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evomerge import executors
from evomerge.genome import DEPTHS
from evomerge.search import searchers

EXPERIMENT = "experiment"
FITNESS = "fitness"  # presets of `allocation`, files alone


def conf_folder() -> Path:
    """The folder of YAML files: inside the package once it is installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def groups() -> dict[str, tuple[str, ...]]:
    """The groups, and the names that each of them offers."""
    names = {group: set(choices) for group, choices in choices().items()} | {FITNESS: set(), EXPERIMENT: set()}
    for group, known in names.items():
        known.update(file.stem for file in (conf_folder() / group).glob("*.yaml"))
    return {group: tuple(sorted(known)) for group, known in names.items()}


def choices() -> dict[str, dict[str, Mapping[str, Any]]]:
    """Group to name to the settings that this choice stands for; what is left out has its default."""
    return {
        "genome": {depth: {"depth": depth} for depth in DEPTHS},
        "searcher": {"auto": {"name": "auto"}} | {name: searchers.load(name).defaults() for name in searchers.names()},
        "executor": {name: executors.load(name).defaults() for name in executors.names()},
    }
