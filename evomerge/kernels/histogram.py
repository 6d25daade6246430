"""Exact order statistics of magnitudes, without sorting them and in bounded memory.

The bits of a non-negative float32, read as an integer, are in the order of the floats. A histogram counts how often
each of them occurs; where there are too many different ones it counts stretches of 2**shift neighbours instead, with
the smallest shift that is enough. The k-th largest magnitude is then known exactly, or known to lie in one stretch,
which one more pass over the magnitudes counts exactly.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from evomerge.kernels import native
from evomerge.kernels.selection import magnitude_bits
from evomerge.kernels.values import Values, blocks_of

# Different magnitudes that a histogram tells apart. Differences of 16-bit checkpoints seldom have more: the larger the
# tensor, the more of them. With shift 18 all 31 bits fit, so the largest stretch has 2**18 neighbours.
_FEWEST, _MOST, _EACH = 1 << 13, 1 << 16, 1 << 8


def stretches(numel: int) -> int:
    """How many different magnitudes the histogram of so many elements tells apart."""
    return min(max(_FEWEST, numel // _EACH), _MOST)


@dataclass(frozen=True)
class OrderStatistic:
    """The k-th largest of a set of magnitudes.

    Attributes:
        bits: Its float32 bits, see :func:`magnitude_bits`.
        above: How many magnitudes are larger.
        equal: How many are equal to it, itself included; ``above < k <= above + equal``.
    """

    bits: int
    above: int
    equal: int


@dataclass(frozen=True)
class Histogram:
    """How often magnitudes occur.

    Attributes:
        shift: Magnitudes are told apart by their bits without the lowest ``shift`` ones; 0 is exactly.
        digits: Those upper bits that occur, largest first; int32, shape ``(m,)``.
        upto: How many magnitudes have this digit or a larger one; int64, shape ``(m,)``.
    """

    shift: int
    digits: torch.Tensor
    upto: torch.Tensor

    @classmethod
    def of(cls, values: Values, limit: int | None = None) -> Self:
        """Counts magnitudes, with the smallest shift that leaves at most ``limit`` digits (:func:`stretches`)."""
        limit = stretches(values.base.numel()) if limit is None else limit
        if native.serves_values(values):
            found = native.histogram(values, limit)
            whole = cls.union(cls.counted(shift, *_gathered(*rest)) for shift, *rest in found)
            return whole.coarsened(limit)
        shift = 0
        digits, counts = torch.empty(0, dtype=torch.int32), torch.empty(0, dtype=torch.int64)
        for block in blocks_of(values):
            new, times = torch.unique(magnitude_bits(block) >> shift, return_counts=True)
            digits, counts = _gathered(torch.cat([digits, new.cpu()]), torch.cat([counts, times.cpu()]))
            while digits.numel() > limit:
                shift += 1
                digits, counts = _gathered(digits >> 1, counts)
        return cls.counted(shift, digits, counts)

    @classmethod
    def counted(cls, shift: int, digits: torch.Tensor, counts: torch.Tensor) -> Self:
        """From digits in ascending order and how often each occurs."""
        return cls(shift, digits.flip(0), counts.flip(0).cumsum(0))

    @classmethod
    def union(cls, histograms: Iterable[Histogram]) -> Self:
        """Counts what all of them count, as coarsely as the coarsest."""
        parts = list(histograms)
        shift = max((part.shift for part in parts), default=0)
        digits = [part.digits >> (shift - part.shift) for part in parts]
        return cls.counted(
            shift,
            *_gathered(
                torch.cat([torch.empty(0, dtype=torch.int32), *digits]),
                torch.cat([torch.empty(0, dtype=torch.int64), *(part.counts for part in parts)]),
            ),
        )

    @classmethod
    def load(cls, arrays: Mapping[str, torch.Tensor], name: str) -> Self:
        """The histogram that :meth:`arrays` gave under this name."""
        return cls(int(arrays[f"shift.{name}"]), arrays[f"digits.{name}"], arrays[f"upto.{name}"])

    def arrays(self, name: str) -> dict[str, torch.Tensor]:
        """The histogram as plain tensors, at most 12 bytes per stretch and 8 more."""
        shift = torch.tensor(self.shift, dtype=torch.int64)
        return {f"shift.{name}": shift, f"digits.{name}": self.digits, f"upto.{name}": self.upto}

    @functools.cached_property
    def count(self) -> int:
        """How many magnitudes there are."""
        return int(self.upto[-1]) if self.upto.numel() else 0

    @functools.cached_property
    def _upto(self) -> np.ndarray:
        return self.upto.numpy()

    @property
    def counts(self) -> torch.Tensor:
        """How often each digit occurs."""
        return self.upto.diff(prepend=torch.zeros(1, dtype=torch.int64))

    def coarsened(self, limit: int) -> Self:
        """The same with the smallest shift, not below its own, that leaves at most ``limit`` digits."""
        shift, digits, counts = self.shift, *_gathered(self.digits, self.counts)
        while digits.numel() > limit:
            shift += 1
            digits, counts = _gathered(digits >> 1, counts)
        return self.counted(shift, digits, counts)

    def stretch(self, digit: int, shift: int) -> Histogram:
        """The part of this histogram whose digits are ``digit`` at a shift that is not smaller than its own."""
        inside = (self.digits >> (shift - self.shift)) == digit
        counts = self.counts[inside]
        return Histogram(self.shift if counts.numel() else 0, self.digits[inside], counts.cumsum(0))

    def equal(self, digit: int) -> int:
        """How many magnitudes have this digit."""
        return int(self.counts[self.digits == digit].sum())

    def largest(self, k: int, exactly: Callable[[int], Histogram]) -> OrderStatistic:
        """The k-th largest magnitude.

        Args:
            k: ``1 <= k <= count``.
            exactly: Counts the magnitudes of one stretch exactly; asked only where this histogram is coarse.
        """
        if not 1 <= k <= self.count:
            raise ValueError(f"asked for magnitude {k} of {self.count}")
        found = self.holding(k)
        if self.shift == 0:
            return found
        inner = exactly(found.bits).holding(k - found.above)
        return OrderStatistic(inner.bits, found.above + inner.above, inner.equal)

    def range_of(self, k: int) -> tuple[float, float]:
        """Two numbers between which the k-th largest lies, both included; equal where this histogram is exact."""
        first = self.holding(k).bits << self.shift
        low, high = struct.unpack("<2f", struct.pack("<2I", first, first + (1 << self.shift) - 1))
        return low, high

    def holding(self, k: int) -> OrderStatistic:
        """The stretch that holds the k-th largest magnitude: its digit, how many are above it and how many in it."""
        upto = self._upto
        place = int(upto.searchsorted(k))
        above = int(upto[place - 1]) if place else 0
        return OrderStatistic(int(self.digits[place]), above, int(upto[place]) - above)


def histogram_bytes(numel: int) -> int:
    """The most that :meth:`Histogram.arrays` takes for a tensor of this many elements."""
    return 12 * min(numel, stretches(numel)) + 8


def stretch_of(values: Values, digit: int, shift: int) -> Histogram:
    """Counts exactly those magnitudes whose bits without the lowest ``shift`` ones are ``digit``."""
    if native.serves_values(values):
        counts = native.stretch(values, digit, shift)
    else:
        counts = torch.zeros(1 << shift, dtype=torch.int64)
        for block in blocks_of(values):
            bits = magnitude_bits(block)
            places = bits[bits >> shift == digit] & ((1 << shift) - 1)
            counts += torch.bincount(places, minlength=counts.numel()).cpu()
    places = counts.nonzero().view(-1)
    return Histogram.counted(0, (places + (digit << shift)).to(torch.int32), counts[places])


def end_of_equal(values: Values, bits: int, quota: int) -> int:
    """Where the first ``quota`` elements whose magnitude is ``bits`` end.

    Returns:
        The index behind the last of them, or the number of all elements if there are fewer.
    """
    if quota <= 0:
        return 0
    if native.serves_values(values):
        return native.end_of_equal(values, bits, quota)
    seen = 0
    for block in blocks_of(values):
        where = (magnitude_bits(block) == bits).nonzero().view(-1)
        if where.numel() >= quota:
            return seen + int(where[quota - 1]) + 1
        quota -= where.numel()
        seen += block.numel()
    return seen


def _gathered(digits: torch.Tensor, counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Adds up the counts of equal digits; ascending."""
    found, which = torch.unique(digits, return_inverse=True)
    return found, torch.zeros(found.numel(), dtype=torch.int64).index_add_(0, which, counts)
