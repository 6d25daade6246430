"""The merged delta, and the sum of all models' deltas, as operands of the kernels."""

from __future__ import annotations

import torch

from evomerge.kernels import Delta, fill
from evomerge.methods import TensorSources


def merged_values(delta: torch.Tensor) -> Delta:
    """Values of a flat float32 delta: what kernels call the delta of a model on a base of zeros."""
    return Delta(torch.zeros(delta.shape, dtype=torch.bfloat16, device=delta.device), delta)


def summed_delta(sources: TensorSources) -> torch.Tensor:
    """The sum of the deltas of all models, flat, in float32."""
    base, models = sources.flat_base, sources.flat_models
    found = torch.empty(base.shape, dtype=torch.float32, device=base.device)

    def block(span: slice) -> torch.Tensor:
        own = base[span].to(torch.float32)
        total = torch.zeros_like(own)
        for model in models:
            total.add_(model[span].to(torch.float32) - own)
        return total

    fill(found, block)
    return found
