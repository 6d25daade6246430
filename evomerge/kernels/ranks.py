"""Exact order statistics of magnitudes, without sorting them and in bounded memory.

The bits of a non-negative float32, read as an integer, are in the order of the floats. Selection works on them like a
radix sort of two digits: the upper 16 bits of all magnitudes are counted once; a question for the k-th largest then
counts the lower 15 bits of those magnitudes that share the digit the answer must have. Each step is one pass over the
magnitudes, wherever they are, and 2**16 counters, however many magnitudes and equal values there are. Few magnitudes
are sorted after all: that takes less memory than the counters.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch

_LOW_BITS = 15
_LOW_MASK = (1 << _LOW_BITS) - 1
_FEW = 1 << 16


def magnitude_bits(values: torch.Tensor) -> torch.Tensor:
    """The bits of float32 ``|values|`` as int32, which order as the magnitudes do; NaN is above all numbers."""
    return values.view(torch.int32) & 0x7FFFFFFF


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


class Ranks:
    """Answers which magnitude is the k-th largest, exactly.

    Args:
        passes: Starts a fresh pass over the bits of all magnitudes, in blocks of any length. Called here, and once for
            each answer that lies in a stretch of magnitudes not asked for lately.
        remembered: How many such stretches (1/256 of a factor of two wide) are kept; each takes up to 384 KiB, usually
            far less.

    Attributes:
        count: How many magnitudes there are.
    """

    def __init__(self, passes: Callable[[], Iterator[torch.Tensor]], remembered: int = 0) -> None:
        self._passes = passes
        self._remembered = remembered
        self._fine: OrderedDict[int, _Histogram] = OrderedDict()
        self._sorted: torch.Tensor | None = None
        self._coarse = _Histogram.of(bits >> _LOW_BITS for bits in passes())
        self.count = self._coarse.count
        if 0 < self.count <= _FEW:
            self._sorted = torch.cat(list(passes())).cpu().sort().values

    def largest(self, k: int) -> OrderStatistic:
        """The k-th largest magnitude, ``1 <= k <= count``."""
        if not 1 <= k <= self.count:
            raise ValueError(f"asked for magnitude {k} of {self.count}")
        if self._sorted is not None:
            value = self._sorted[-k]
            upto = int(torch.searchsorted(self._sorted, value, right=True))
            return OrderStatistic(int(value), self.count - upto, upto - int(torch.searchsorted(self._sorted, value)))
        digit, above, _ = self._coarse.find(k)
        low, further, equal = self._stretch(digit).find(k - above)
        return OrderStatistic((digit << _LOW_BITS) | low, above + further, equal)

    def _stretch(self, digit: int) -> _Histogram:
        if digit in self._fine:
            self._fine.move_to_end(digit)
            return self._fine[digit]
        histogram = _Histogram.of(bits[bits >> _LOW_BITS == digit].bitwise_and_(_LOW_MASK) for bits in self._passes())
        self._fine[digit] = histogram
        while len(self._fine) > self._remembered:
            self._fine.popitem(last=False)
        return histogram


class _Histogram:
    """How often each digit occurs, most significant first: only digits that occur."""

    def __init__(self, counts: torch.Tensor) -> None:
        digits = counts.nonzero().view(-1).flip(0)
        self._digits = digits.to(torch.int32)
        self._upto = counts[digits].cumsum(0)
        self.count = int(self._upto[-1]) if digits.numel() else 0

    @classmethod
    def of(cls, blocks: Iterable[torch.Tensor]) -> _Histogram:
        counts = torch.zeros(1 << 16, dtype=torch.int64)
        for block in blocks:
            counts += torch.bincount(block, minlength=counts.numel()).cpu()
        return cls(counts)

    def find(self, k: int) -> tuple[int, int, int]:
        """The digit of the k-th largest, how many are larger, and how many have that digit."""
        place = int(torch.searchsorted(self._upto, k))
        above = int(self._upto[place - 1]) if place else 0
        return int(self._digits[place]), above, int(self._upto[place]) - above


def end_of_equal(blocks: Iterable[torch.Tensor], bits: int, quota: int) -> int:
    """Where the first ``quota`` elements that equal ``bits`` end.

    Args:
        blocks: Bits of a tensor's magnitudes, in order.
        bits: The value to look for.
        quota: How many of them are wanted.

    Returns:
        The index behind the last of them, or the number of all elements if there are no more than ``quota``.
    """
    seen = 0
    for block in blocks:
        where = (block == bits).nonzero().view(-1)
        if where.numel() > quota:
            return seen + (int(where[quota - 1]) + 1 if quota > 0 else 0)
        quota -= where.numel()
        seen += block.numel()
    return seen
