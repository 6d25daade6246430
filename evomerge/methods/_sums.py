"""Weighted sums of blocks, shared by the methods."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def weighted_sum(blocks: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """Sums ``weight * block`` in float32, in order.

    Blocks of weight zero take no part, so the sum over one block of weight one is that block bit by bit, signed zeros
    included.

    Args:
        blocks: Of equal shape and any dtype, or booleans; not written to.
        weights: One per block.

    Returns:
        A new float32 tensor.
    """
    result: torch.Tensor | None = None
    for block, weight in zip(blocks, weights, strict=True):
        if weight == 0:
            continue
        # Two roundings, never a fused one: torch fuses within vectors but not in the rest of a block.
        term = block.to(torch.float32) * weight
        result = term if result is None else result.add_(term)
    return torch.zeros_like(blocks[0], dtype=torch.float32) if result is None else result
