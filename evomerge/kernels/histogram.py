"""Exact order statistics of magnitudes, without sorting and in bounded memory.

The bits of a non-negative float32, read as an integer, are in the order of the floats. A histogram has one bin per
magnitude; where there are too many of them, a bin holds 2**shift neighbouring magnitudes instead, with the smallest
shift that is enough. The k-th largest magnitude is then known exactly, or up to one bin, which one more pass over the
magnitudes resolves. Magnitudes are histogrammed once per tensor, so a candidate's threshold is a lookup.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from evomerge.kernels.blocks import CHUNK

# Bins of a histogram. Differences of 16-bit checkpoints seldom have more magnitudes: the larger the tensor, the more of
# them. With shift 18 all 31 bits fit, so the widest bin has 2**18 magnitudes.
_FEWEST, _MOST, _EACH = 1 << 13, 1 << 16, 1 << 8
# A magnitude is frequent if more than one of so many elements has it.
_RARE = 1 << 10


def max_bins(numel: int) -> int:
    """Largest number of bins of the histogram of so many elements."""
    return min(max(_FEWEST, numel // _EACH), _MOST)


@dataclass(frozen=True)
class OrderStatistic:
    """The k-th largest of a set of magnitudes.

    Attributes:
        bits: Its float32 bits, see :func:`evomerge.kernels.magnitude_bits`; those of its bin in a coarse histogram.
        above: Number of larger magnitudes.
        equal: Number of magnitudes equal to it, itself included; ``above < k <= above + equal``.
    """

    bits: int
    above: int
    equal: int


@dataclass(frozen=True)
class Histogram:
    """Counts of magnitudes.

    Attributes:
        shift: Number of low bits that bins leave out; 0 is one bin per magnitude.
        bin_keys: The upper bits of each bin that is not empty, largest first; int32, shape ``(m,)``.
        cumulative: Number of magnitudes in this bin and those before it; int64, shape ``(m,)``.
    """

    shift: int
    bin_keys: torch.Tensor
    cumulative: torch.Tensor

    @classmethod
    def counted(cls, shift: int, bin_keys: torch.Tensor, counts: torch.Tensor) -> Self:
        """From bin keys in ascending order and their counts."""
        return cls(shift, bin_keys.flip(0), counts.flip(0).cumsum(0))

    @classmethod
    def union(cls, histograms: Iterable[Histogram]) -> Self:
        """Sum of histograms, as coarse as the coarsest."""
        parts = list(histograms)
        shift = max((part.shift for part in parts), default=0)
        bin_keys = [part.bin_keys >> (shift - part.shift) for part in parts]
        return cls.counted(
            shift,
            *sum_by_key(
                torch.cat([torch.empty(0, dtype=torch.int32), *bin_keys]),
                torch.cat([torch.empty(0, dtype=torch.int64), *(part.counts for part in parts)]),
            ),
        )

    @classmethod
    def load(cls, arrays: Mapping[str, torch.Tensor], name: str) -> Self:
        """The histogram that :meth:`arrays` stored under this name."""
        return cls(int(arrays[f"shift.{name}"]), arrays[f"bin_keys.{name}"], arrays[f"cumulative.{name}"])

    def arrays(self, name: str) -> dict[str, torch.Tensor]:
        """The histogram as plain tensors, at most 12 bytes per bin and 8 more."""
        shift = torch.tensor(self.shift, dtype=torch.int64)
        return {f"shift.{name}": shift, f"bin_keys.{name}": self.bin_keys, f"cumulative.{name}": self.cumulative}

    @functools.cached_property
    def count(self) -> int:
        """Number of magnitudes."""
        return int(self.cumulative[-1]) if self.cumulative.numel() else 0

    @functools.cached_property
    def _cumulative(self) -> np.ndarray:
        return self.cumulative.numpy()

    @property
    def counts(self) -> torch.Tensor:
        """Number of magnitudes in each bin."""
        return self.cumulative.diff(prepend=torch.zeros(1, dtype=torch.int64))

    def coarsened(self, limit: int) -> Self:
        """The same with the smallest shift, not below its own, that leaves at most ``limit`` bins."""
        shift, bin_keys, counts = self.shift, *sum_by_key(self.bin_keys, self.counts)
        while bin_keys.numel() > limit:
            shift += 1
            bin_keys, counts = sum_by_key(bin_keys >> 1, counts)
        return self.counted(shift, bin_keys, counts)

    def within(self, bin_key: int, shift: int) -> Histogram:
        """The part of this histogram inside one bin of a histogram that is at least as coarse."""
        inside = (self.bin_keys >> (shift - self.shift)) == bin_key
        counts = self.counts[inside]
        return Histogram(self.shift if counts.numel() else 0, self.bin_keys[inside], counts.cumsum(0))

    def equal(self, bin_key: int) -> int:
        """Number of magnitudes in one bin."""
        return int(self.counts[self.bin_keys == bin_key].sum())

    def largest(self, k: int, exactly: Callable[[int], Histogram]) -> OrderStatistic:
        """The k-th largest magnitude.

        Args:
            k: ``1 <= k <= count``.
            exactly: Exact histogram of one bin, by its key; asked for only where this histogram is coarse.
        """
        if not 1 <= k <= self.count:
            raise ValueError(f"asked for magnitude {k} of {self.count}")
        found = self.holding(k)
        if self.shift == 0:
            return found
        inner = exactly(found.bits).holding(k - found.above)
        return OrderStatistic(inner.bits, found.above + inner.above, inner.equal)

    def range_of(self, k: int) -> tuple[float, float]:
        """Smallest and largest magnitude of the bin that holds the k-th largest; equal where this is exact."""
        first = self.holding(k).bits << self.shift
        return magnitude_of(first), magnitude_of(first + (1 << self.shift) - 1)

    def holding(self, k: int) -> OrderStatistic:
        """The bin that holds the k-th largest magnitude: its key, the number of magnitudes above it and in it."""
        cumulative = self._cumulative
        row = int(cumulative.searchsorted(k))
        above = int(cumulative[row - 1]) if row else 0
        return OrderStatistic(int(self.bin_keys[row]), above, int(cumulative[row]) - above)


def magnitude_of(bits: int) -> float:
    """The magnitude of some float32 bits, see :func:`evomerge.kernels.magnitude_bits`."""
    (magnitude,) = struct.unpack("<f", struct.pack("<I", bits))
    return float(magnitude)


def histogram_bytes(numel: int) -> int:
    """Upper bound of the size of :meth:`Histogram.arrays` for a tensor of this many elements."""
    return 12 * min(numel, max_bins(numel)) + 8


def sum_by_key(bin_keys: torch.Tensor, counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Distinct bin keys, ascending, and the sum of the counts of each."""
    found, which = torch.unique(bin_keys, return_inverse=True)
    return found, torch.zeros(found.numel(), dtype=torch.int64).index_add_(0, which, counts)


@dataclass(frozen=True)
class ChunkCounts:
    """Counts of frequent magnitudes in each chunk of 65536 elements.

    Attributes:
        bin_keys: Bits of the magnitudes, ascending; int32, shape ``(m,)``.
        counts: int32, shape ``(m, chunks)``.
    """

    bin_keys: torch.Tensor
    counts: torch.Tensor

    @classmethod
    def load(cls, arrays: Mapping[str, torch.Tensor], name: str) -> Self:
        """The counts that :meth:`arrays` stored under this name."""
        return cls(arrays[f"frequent.{name}"], arrays[f"chunks.{name}"])

    def arrays(self, name: str) -> dict[str, torch.Tensor]:
        """The counts as plain tensors, see :func:`chunk_counts_bytes`."""
        return {f"frequent.{name}": self.bin_keys, f"chunks.{name}": self.counts}

    def row(self, bin_key: int) -> torch.Tensor | None:
        """Counts of one magnitude in each chunk; None if it was not counted."""
        row = int(self._bin_keys.searchsorted(bin_key))
        return self.counts[row] if row < self._bin_keys.size and self._bin_keys[row] == bin_key else None

    @functools.cached_property
    def _bin_keys(self) -> np.ndarray:
        return self.bin_keys.numpy()


def frequent(histogram: Histogram) -> torch.Tensor:
    """Magnitudes that more than a thousandth of the elements share, ascending; none of a coarse or small histogram."""
    if histogram.shift or histogram.count <= CHUNK:
        return torch.empty(0, dtype=torch.int32)
    return histogram.bin_keys[histogram.counts > histogram.count // _RARE].flip(0)


def chunk_counts_bytes(numel: int) -> int:
    """Upper bound of the size of :meth:`ChunkCounts.arrays` for a tensor of this many elements."""
    return 0 if numel <= CHUNK else 4 * _RARE * (1 + -(-numel // CHUNK))
