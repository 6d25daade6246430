"""A mixture's experts one by one, whatever form the checkpoint was saved in.

transformers keeps the experts of a layer stacked in memory, and saves them so with ``save_original_format=False``, or
where a part of the model was on disk: ``mlp.experts.gate_up_proj`` ``(experts, 2 * width, hidden)`` and
``mlp.experts.down_proj`` ``(experts, hidden, width)``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from evomerge.checkpoints import CheckpointSource, TensorSpec
from evomerge.merging.converted import converted
from evomerge.merging.mixture.families import MixtureFamily, family_of

_PARTS = ("experts.gate_up_proj", "experts.down_proj", "gate.weight")
_STACKED = re.compile(rf"(?P<layer>.*\.layers\.\d+\.)mlp\.(?P<part>{'|'.join(map(re.escape, _PARTS))})")


class _Form:
    """Names and shapes of a source as they would be one by one: it has no values."""

    def __init__(self, source: CheckpointSource, specs: Mapping[str, TensorSpec]) -> None:
        self.path: Path = source.path
        self.config: Mapping[str, Any] = source.config
        self.aliases: Mapping[str, str] = source.aliases
        self.specs = specs

    def tensor(self, name: str) -> NoReturn:
        """None has values."""
        raise KeyError(name)

    def in_place(self, name: str) -> bool:
        """False: there is none."""
        return False

    def file(self, name: str) -> Path:
        """The folder."""
        return self.path

    def fingerprint(self) -> NoReturn:
        """Nobody asks."""
        raise NotImplementedError("a form has no content")

    def release(self) -> None:
        """Nothing is kept."""


def one_by_one(source: CheckpointSource) -> CheckpointSource:
    """Gives a mixture with its experts one by one, under the family's own names.

    Args:
        source: The mixture.

    Returns:
        ``source`` itself where they lie so already, or where transformers does not know how they are stacked.

    Raises:
        InputError: If the source is no mixture that is known.
    """
    family = family_of(source.config, str(source.path))
    specs: dict[str, TensorSpec] = {}
    for name, spec in source.specs.items():
        match = _STACKED.fullmatch(name)
        specs |= {name: spec} if match is None else _parts(family, match["layer"], match["part"], spec)
    return source if specs.keys() == source.specs.keys() else converted(_Form(source, specs), source)


def stored_gate(source: CheckpointSource, family: MixtureFamily, layer: str) -> str:
    """The name that a layer's router has in a source as it was saved."""
    return next((name for name in (family.gate(layer), f"{layer}mlp.gate.weight") if name in source.specs), "")


def _parts(family: MixtureFamily, layer: str, part: str, spec: TensorSpec) -> dict[str, TensorSpec]:
    """The tensors that a tensor in memory's form stands for."""
    if part == "gate.weight":
        return {family.gate(layer): spec}
    count, rows, columns = spec.shape
    down = part == "experts.down_proj"
    shape = (rows, columns) if down else (rows // 2, columns)
    names = ("down_proj",) if down else ("gate_proj", "up_proj")
    return {
        family.expert(layer, expert, name): TensorSpec(spec.dtype, shape) for expert in range(count) for name in names
    }
