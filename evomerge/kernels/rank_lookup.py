"""Locates elements by magnitude rank: largest magnitude first, ties by index."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from evomerge.kernels import dispatch
from evomerge.kernels.histogram import ChunkCounts, Histogram
from evomerge.kernels.operands import Bin, Element, Values

_WORD = (1 << 32) - 1
# Elements of a bin that are looked at one by one; more are counted.
_MANY = 1 << 16
MAX_INDEXED = 1 << 32
"""Largest number of values whose elements are located by sort keys, which hold an index in 32 bits."""


def bin_holding(values: Values, histogram: Histogram, k: int, chunks: ChunkCounts | None = None) -> tuple[Bin, int]:
    """The bin that holds the k-th largest magnitude, and that element's rank in the bin, counted from 1."""
    found = histogram.holding(k)
    known = None if chunks is None or histogram.shift else chunks.row(found.bits)
    return Bin(values, found.bits, histogram.shift, found.equal, known), k - found.above


def elements_at(bins: Sequence[Bin], ranks: Sequence[int]) -> list[Element]:
    """The elements at some ranks of bins of values with the same base.

    Bins whose chunks are counted take a look at one chunk. A bin of very many elements takes a pass of its own, and one
    more where their magnitudes differ; all other bins together take one.

    Args:
        bins: The bins.
        ranks: One rank in each bin, counted from 1.
    """
    found = [_by_counting(own, rank) for own, rank in zip(bins, ranks, strict=True)]
    left = [number for number, element in enumerate(found) if element is None]
    if left:
        for number, keys in zip(left, dispatch.sort_keys([bins[number] for number in left]), strict=True):
            found[number] = _at(keys, ranks[number])
    return [element for element in found if element is not None]


def elements_of(own: Bin) -> tuple[np.ndarray, np.ndarray]:
    """All elements of a bin by index: their bits and their indices; int64, shape ``(count,)``.

    Raises:
        ValueError: If there are more than :data:`MAX_INDEXED` values.
    """
    if own.values.base.numel() > MAX_INDEXED:
        raise ValueError(f"expected at most {MAX_INDEXED} values, there are {own.values.base.numel()}")
    keys = dispatch.sort_keys([own])[0].numpy()
    return keys >> 32, keys & _WORD


def top_k(bits: np.ndarray, k: int) -> tuple[np.ndarray, int]:
    """The k largest of some magnitudes; ties go to the lowest index.

    Returns:
        Their indices, ascending, and the index of the k-th.
    """
    # By numpy, not by torch, whose threads look for more work for a while and would be in the way of the next pass.
    least = np.partition(bits, bits.size - k)[bits.size - k]
    chosen = bits > least
    equal = np.flatnonzero(bits == least)[: k - int(chosen.sum())]
    chosen[equal] = True
    return np.flatnonzero(chosen), int(equal[-1])


def _by_counting(own: Bin, rank: int) -> Element | None:
    """The element, if it is to be found by counting rather than by sort keys."""
    values, bits = own.values, own.bin_key
    if own.chunks is not None:
        return Element(bits, dispatch.end_by_chunks(values, bits, rank, own.chunks) - 1)
    if own.count <= _MANY and values.base.numel() <= MAX_INDEXED:
        return None
    if own.shift:
        inner = dispatch.bin_histogram(values, bits, own.shift).holding(rank)
        bits, rank = inner.bits, rank - inner.above
    return Element(bits, dispatch.end_of_equal(values, bits, rank) - 1)


def _at(keys: torch.Tensor, rank: int) -> Element:
    key = keys.numpy()
    _, last = top_k(key >> 32, rank)
    return Element(int(key[last]) >> 32, int(key[last]) & _WORD)
