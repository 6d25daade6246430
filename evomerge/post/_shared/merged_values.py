"""The merged delta, and the sum of all models' deltas, as operands of the kernels."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from evomerge.kernels import BLOCK, Delta, absolute_sum, spans
from evomerge.methods import TensorSources


def merged_values(delta: torch.Tensor) -> Delta:
    """Values of a flat float32 delta: what kernels call the delta of a model on a base of zeros."""
    return Delta(torch.zeros(delta.shape, dtype=torch.bfloat16, device=delta.device), delta)


def length(numel: int, block: Callable[[slice], torch.Tensor]) -> float:
    """The 1-norm of a flat float32 delta that is given block by block, so that no copy of a whole tensor is made.

    Args:
        numel: Number of elements.
        block: Gives the elements of one slice. Slices are the same on every device.
    """
    return math.fsum(absolute_sum(merged_values(block(span))) for span in spans(numel, BLOCK))


def summed_delta(sources: TensorSources) -> Callable[[slice], torch.Tensor]:
    """The sum of the deltas of all models, in float32: a function of a slice of the flat tensor."""
    base, models = sources.flat_base, sources.flat_models

    def block(span: slice) -> torch.Tensor:
        own = base[span].to(torch.float32)
        total = torch.zeros_like(own)
        for model in models:
            total.add_(model[span].to(torch.float32) - own)
        return total

    return block
