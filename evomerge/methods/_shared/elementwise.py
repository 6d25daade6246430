"""Element-wise merges that no kernel has: computed from the blocks of all deltas, and added to the base.

A delta is a model minus the base. A block is in float32 and fits the cache; no intermediate is as large as the tensor.
Comparisons write 0 and 1 in place (``gt_``), and choices are ``lerp`` by these: exact, on the CPU several times as fast
as ``where``, and what is not finite on either side stays visible.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from evomerge.kernels import fill
from evomerge.methods._shared.coefficients import per_model
from evomerge.methods._shared.inputs import Coefficients, TensorSources

Update = Callable[[list[torch.Tensor]], torch.Tensor]
"""Gives what is added to one block of the base, from that block of the deltas: fresh memory that it may overwrite."""


def taking_part(coefficients: Coefficients) -> list[int]:
    """The models whose weight is not zero."""
    return [model for model, weight in enumerate(per_model(coefficients["weight"])) if weight != 0]


def deltas_of(
    sources: TensorSources, span: slice, models: Sequence[int] | None = None, start: torch.Tensor | None = None
) -> list[torch.Tensor]:
    """One block of some models' deltas, or of all, in float32; fresh memory.

    Args:
        sources: The tensors.
        span: The elements.
        models: The models.
        start: The base's block in float32, where that is there already.
    """
    base = sources.flat_base[span].to(torch.float32) if start is None else start
    chosen = range(len(sources.models)) if models is None else models
    return [sources.flat_models[model][span].to(torch.float32) - base for model in chosen]


def add_update(
    sources: TensorSources, models: Sequence[int], update: Update, out: torch.Tensor, *, scale: float = 1.0
) -> None:
    """Writes the base plus an update. Where nothing is added, or no model takes part, the base stays bit by bit.

    Args:
        sources: The tensors.
        models: The models whose deltas are given to ``update``.
        update: Computes what is added.
        out: Memory of the tensor's shape.
        scale: Factor of what is added.
    """
    base = sources.flat_base

    def merged(span: slice) -> torch.Tensor:
        start = base[span].to(torch.float32)
        if not models:
            return start
        # Taken off with no negative zeros, so that the base's own stay where nothing is added.
        return start - update(deltas_of(sources, span, models, start)).mul_(-scale).add_(0.0)

    fill(out, merged)


def weighted(deltas: list[torch.Tensor], models: Sequence[int], weights: Sequence[float]) -> list[torch.Tensor]:
    """The deltas of some models, each times its weight, in place."""
    return [
        delta if weights[model] == 1 else delta.mul_(weights[model])
        for model, delta in zip(models, deltas, strict=True)
    ]


def summed(blocks: Sequence[torch.Tensor]) -> torch.Tensor:
    """The sum of blocks in their order; fresh memory."""
    total = blocks[0].clone()
    for block in blocks[1:]:
        total.add_(block)
    return total
