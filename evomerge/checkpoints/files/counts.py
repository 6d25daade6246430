"""Numbers of layers and experts in a config, beside the tensors that are there.

Classes of transformers make a module for each before they look at any weight: a number from a broken or hostile config
that has no tensors to it would take hours and all memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evomerge.checkpoints.source import TensorSpec

_LAYERS = re.compile(r"(?:layers?|blocks?|depths?|stages)$")
_EXPERTS = re.compile(r"experts$")
# Layers may share their tensors, and a config may describe a part that is not stored; but no hundred times as many.
_SHARED, _FEW = 8, 1000


def counts_beyond(path: Path, config: Mapping[str, Any], specs: Mapping[str, TensorSpec]) -> list[str]:
    """Finds numbers of layers or experts that the tensors cannot be for.

    Args:
        path: The config's file.
        config: Its content.
        specs: All tensors of the checkpoint.

    Returns:
        One sentence for each field.
    """
    widest = max((size for spec in specs.values() for size in spec.shape), default=0)
    most = _FEW + _SHARED * len(specs)
    problems = []
    for name, value in _fields(config):
        # The experts of a layer may be one tensor, whose first size is their number.
        bound = max(most, widest) if _EXPERTS.search(name) else most
        if value > bound:
            problems.append(
                f"{str(path)!r} has {name} {value}, but there are only {len(specs)} tensors. Correct it, or "
                "fetch it again"
            )
    return problems


def _fields(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _fields(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and (_LAYERS.search(name) or _EXPERTS.search(name)):
            yield f"{prefix}{name}", value
