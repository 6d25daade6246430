"""Ranks of magnitudes within rows, narrowed to 16 bits."""

from __future__ import annotations

import torch

from evomerge.kernels import native
from evomerge.kernels.selection import magnitude_bits
from evomerge.kernels.values import Delta

LEVELS = 1 << 16

# Elements sorted at once by the torch form.
_AT_ONCE = 1 << 24


def row_ranks(delta: Delta) -> torch.Tensor:
    """The rank of every element among the magnitudes of its row, the last dimension; 0 is the smallest.

    Equal magnitudes are ranked by their index. Rows of up to 65536 elements have exact ranks; in longer ones of ``m``
    elements, rank r becomes ``r * 65536 // m``.

    Returns:
        uint16 on the CPU, of the tensor's shape; 2 bytes per element.
    """
    shape = delta.base.shape
    columns = shape[-1] if shape else 1
    if delta.base.numel() == 0:
        return torch.empty(shape, dtype=torch.uint16)
    if native.serves(delta.base, delta.model):
        return native.row_ranks(delta, columns).view(shape)
    step = max(1, _AT_ONCE // columns) * columns
    pieces = []
    for start in range(0, delta.base.numel(), step):
        bits = magnitude_bits(delta.block(slice(start, start + step))).view(-1, columns)
        order = bits.sort(dim=1, stable=True).indices
        places = (
            torch.arange(columns, device=bits.device).mul_(min(columns, LEVELS)).div_(columns, rounding_mode="floor")
        )
        ranks = torch.empty_like(order).scatter_(1, order, places.expand_as(order))
        pieces.append(ranks.to("cpu", torch.uint16))
    return torch.cat(pieces).view(shape)
