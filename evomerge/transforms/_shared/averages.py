"""Means of the experts' tensors, and where a tensor stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch

from evomerge.checkpoints import CheckpointSource
from evomerge.merging.checkpoints import is_weight
from evomerge.recipe import DEFAULT_LAYER_PATTERN, ParameterGroups, Place, UnknownTensorName, patterns_of
from evomerge.transforms._shared.declaration import Work
from evomerge.transforms._shared.subspaces import sum_of


def mean_of(work: Work, name: str) -> torch.Tensor:
    """The mean of the experts' tensors, float32."""
    return sum_of(expert.tensor(name).float() for expert in work.experts) / len(work.experts)


def room_for(work: Work, names: Iterable[str]) -> dict[str, torch.Tensor]:
    """Tensors to be filled, as the reference has them.

    Made before anything else: small tensors that stay, made between large ones that go, would leave holes between these
    that nothing fits into.
    """
    specs = work.reference.specs
    return {name: torch.empty(specs[name].shape, dtype=specs[name].dtype) for name in names}


def wide_notes(names: Sequence[str]) -> Iterator[str]:
    """A note on matrices of whose inner products there is the diagonal alone, where there are some."""
    if names:
        yield (
            f"{len(names)} matrices have more inputs or outputs than statistics.gram_limit, so that the diagonal alone "
            f"counts there, such as {names[0]}"
        )


def merged_names(source: CheckpointSource) -> list[str]:
    """Names of the tensors that are merged: floating point, no repeated heads, no computed tables."""
    return [name for name, spec in source.specs.items() if name not in source.aliases and is_weight(name, spec)]


def places(source: CheckpointSource) -> dict[str, Place]:
    """Layer and module kind of each merged tensor, by its name; ``other`` where no pattern knows the name."""
    names = merged_names(source)
    groups = ParameterGroups((), patterns_of(names), DEFAULT_LAYER_PATTERN)
    found = {}
    for name in names:
        try:
            found[name] = groups.place(name)
        except UnknownTensorName:
            found[name] = Place(None, "other")
    return found
