"""Keeps random elements of deltas: drop and rescale (DARE)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from evomerge.errors import InputError
from evomerge.kernels import uniform
from evomerge.methods._declaration import Sources, TensorContext
from evomerge.methods._deltas import Keep


@dataclass(frozen=True)
class RandomDrop:
    """Keeps each element with probability ``density``, by noise that belongs to (key, index) alone.

    Attributes:
        keys: One random key per model.
    """

    keys: tuple[int, ...]

    def keep(self, model: int, density: float) -> Keep:
        """Keeps the elements whose noise lies below ``density``."""
        key = self.keys[model]

        def keep(block: torch.Tensor, span: slice) -> torch.Tensor:
            return block.mul_(uniform(key, span, block.device) < density)

        return keep


def random_drop(context: TensorContext, sources: Sources) -> RandomDrop:
    """Drops at random; masks are made anew from keys for every candidate."""
    if len(context.keys) != len(sources.models):
        found, wanted = len(context.keys), len(sources.models)
        raise InputError(f"tensor {context.name!r} has {found} random keys for {wanted} models")
    return RandomDrop(context.keys)
