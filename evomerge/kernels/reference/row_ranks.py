"""Ranks of magnitudes within rows, narrowed to 16 bits."""

from __future__ import annotations

import torch

from evomerge.kernels.masks import LEVELS
from evomerge.kernels.operands import Delta
from evomerge.kernels.reference.magnitudes import magnitude_bits
from evomerge.kernels.reference.values import delta_block

# Elements sorted at once.
_AT_ONCE = 1 << 24


def row_ranks(delta: Delta, columns: int) -> torch.Tensor:
    """See :func:`evomerge.kernels.row_ranks`; flat, of rows of ``columns`` elements."""
    step = max(1, _AT_ONCE // columns) * columns
    pieces = []
    for start in range(0, delta.base.numel(), step):
        span = slice(start, start + step)
        bits = magnitude_bits(delta_block(delta.base, delta.model, span)).view(-1, columns)
        order = bits.sort(dim=1, stable=True).indices
        levels = (
            torch.arange(columns, device=bits.device).mul_(min(columns, LEVELS)).div_(columns, rounding_mode="floor")
        )
        ranks = torch.empty_like(order).scatter_(1, order, levels.expand_as(order))
        pieces.append(ranks.to("cpu", torch.uint16).view(-1))
    return torch.cat(pieces)
