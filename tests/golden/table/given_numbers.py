"""Merges whose random masks come of given numbers, as those of the cases did, not of hashes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from safetensors.torch import load_file

from evomerge.kernels import random_key, torch_only
from evomerge.kernels.reference import sparsify
from tests.golden.table.case import Family, Merge, Tensors


@dataclass(frozen=True)
class Drawn:
    """A merge by a recipe that has random masks.

    Attributes:
        merge: The merge.
        kept: Which numbers the code of the case keeps: those below the density, as ours does, or those from its
            complement up; then ours gets what is left to one.
    """

    merge: Merge
    kept: Literal["low", "high"]

    def __call__(self, family: Family) -> Tensors:
        given = load_file(family.inputs / "uniform.safetensors")
        if self.kept == "high":
            given = {name: 1.0 - numbers for name, numbers in given.items()}
        with torch_only(), noise_of(self._by_key(family, given)):
            return self.merge(family)

    def _by_key(self, family: Family, given: Tensors) -> dict[int, torch.Tensor]:
        """The numbers of each expert's tensor, by the key that its mask has."""
        recipe = self.merge.recipe(family.folder)
        return {
            random_key(recipe.seed, position, name.removeprefix(f"{expert}.")): numbers.reshape(-1)
            for position, expert in enumerate(self.merge.sources)
            for name, numbers in given.items()
            if name.startswith(f"{expert}.")
        }


@contextlib.contextmanager
def noise_of(numbers: Mapping[int, torch.Tensor]) -> Iterator[None]:
    """Within it the torch form of the kernels takes the noise of a key from these numbers, one for each element.

    Everything else is as it always is, so it is the methods themselves that run.
    """

    def uniform(key: int, span: slice, device: torch.device | str = "cpu") -> torch.Tensor:
        return numbers[key][span].to(device)

    hashed = sparsify.uniform
    sparsify.uniform = uniform
    try:
        yield
    finally:
        sparsify.uniform = hashed
