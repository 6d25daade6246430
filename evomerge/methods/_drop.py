"""Keeps random elements of deltas: drop and rescale (DARE)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from evomerge.errors import InputError
from evomerge.kernels import uniform
from evomerge.methods._declaration import Options, TensorContext
from evomerge.methods._deltas import DeltaState, Keep


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


def prepare(
    context: TensorContext,
    base: torch.Tensor,
    models: Sequence[torch.Tensor],
    options: Options,
    survey_state: None = None,
) -> DeltaState:
    """The state of a method that drops at random; its masks are made anew from keys for every candidate."""
    if len(context.keys) != len(models):
        raise InputError(f"tensor {context.name!r} has {len(context.keys)} random keys for {len(models)} models")
    return DeltaState(base, models, options, RandomDrop(context.keys))
