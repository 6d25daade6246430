"""Indices of elements by their magnitude."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from evomerge.kernels.blocks import CHUNK, spans
from evomerge.kernels.operands import Bin, Values
from evomerge.kernels.reference.magnitudes import magnitude_bits
from evomerge.kernels.reference.values import block_of, blocks_of


def end_of_equal(values: Values, bits: int, quota: int) -> int:
    """See :func:`evomerge.kernels.end_of_equal`; ``quota`` is at least 1."""
    seen = 0
    for block in blocks_of(values):
        where = (magnitude_bits(block) == bits).nonzero().view(-1)
        if where.numel() >= quota:
            return seen + int(where[quota - 1]) + 1
        quota -= where.numel()
        seen += block.numel()
    return seen


def end_by_chunks(values: Values, bits: int, quota: int, counts: torch.Tensor) -> int:
    """The index behind the ``quota``-th element of these bits, of which there are ``counts`` per chunk."""
    cumulative = counts.cumsum(0)
    chunk = int(torch.searchsorted(cumulative, quota))
    start = chunk * CHUNK
    block = block_of(values, slice(start, min(start + CHUNK, values.base.numel())))
    where = (magnitude_bits(block) == bits).nonzero().view(-1)
    return start + int(where[quota - (int(cumulative[chunk - 1]) if chunk else 0) - 1]) + 1


def sort_keys(bins: Sequence[Bin]) -> list[torch.Tensor]:
    """Keys of the elements of each bin, by index: magnitude * 2**32 + index; int64."""
    return [_sort_keys(own) for own in bins]


def _sort_keys(own: Bin) -> torch.Tensor:
    values, pieces = own.values, []
    for span in spans(values.base.numel(), device=values.base.device):
        bits = magnitude_bits(block_of(values, span))
        where = (bits >> own.shift == own.bin_key).nonzero().view(-1)
        pieces.append((bits[where].long() << 32 | (span.start + where)).cpu())
    return torch.cat(pieces)
