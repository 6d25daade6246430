"""Where single magnitudes are: the elements of neighbouring magnitudes, and the one at a place among them.

Elements are ordered by magnitude, the largest first, equal ones by index.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from evomerge.kernels import native
from evomerge.kernels.blocks import CHUNK, spans
from evomerge.kernels.histogram import Histogram, end_of_equal, stretch_of
from evomerge.kernels.selection import magnitude_bits
from evomerge.kernels.values import Values

_WORD = (1 << 32) - 1
# Elements that are looked at one by one; more are counted.
_MANY = 1 << 16
MOST_PLACES = 1 << 32
"""Values among which single elements are looked for by index; an index is 32 bits of a key."""
# A magnitude is frequent if more than one of so many elements has it.
_RARE = 1 << 10


@dataclass(frozen=True)
class ChunkCounts:
    """Where magnitudes are that many elements share: how many of them in each chunk of 65536 elements.

    Attributes:
        digits: Their bits, ascending; int32, shape ``(m,)``.
        counts: int32, shape ``(m, chunks)``.
    """

    digits: torch.Tensor
    counts: torch.Tensor

    @classmethod
    def of(cls, values: Values, histogram: Histogram) -> Self:
        """Counts those magnitudes that more than a thousandth of the elements share; none of a coarse histogram."""
        frequent = histogram.digits[histogram.counts > histogram.count // _RARE].flip(0)
        if histogram.shift or histogram.count <= CHUNK:
            frequent = torch.empty(0, dtype=torch.int32)
        if native.serves_values(values) and frequent.numel():
            return cls(frequent, native.chunk_counts(values, frequent))
        if not frequent.numel():
            return cls(frequent, torch.empty(0, 0, dtype=torch.int32))
        found, device = [], values.base.device
        searched = frequent.to(device)
        for span in spans(values.base.numel(), device=device):
            bits = magnitude_bits(values.block(span))
            row = torch.searchsorted(searched, bits).clamp_(max=frequent.numel() - 1)
            chunks = -(-bits.numel() // CHUNK)
            cell = row * chunks + torch.arange(bits.numel(), device=device) // CHUNK
            counts = torch.bincount(cell[searched[row] == bits], minlength=frequent.numel() * chunks)
            found.append(counts.view(-1, chunks).to("cpu", torch.int32))
        return cls(frequent, torch.cat(found, dim=1))

    @classmethod
    def load(cls, arrays: Mapping[str, torch.Tensor], name: str) -> Self:
        """The counts that :meth:`arrays` gave under this name."""
        return cls(arrays[f"frequent.{name}"], arrays[f"chunks.{name}"])

    def arrays(self, name: str) -> dict[str, torch.Tensor]:
        """The counts as plain tensors, see :func:`chunk_counts_bytes`."""
        return {f"frequent.{name}": self.digits, f"chunks.{name}": self.counts}

    def row(self, digit: int) -> torch.Tensor | None:
        """How often one magnitude occurs in each chunk; None if it was not counted."""
        place = int(self._digits.searchsorted(digit))
        return self.counts[place] if place < self._digits.size and self._digits[place] == digit else None

    @functools.cached_property
    def _digits(self) -> np.ndarray:
        return self.digits.numpy()


def chunk_counts_bytes(numel: int) -> int:
    """The most that :meth:`ChunkCounts.arrays` takes for a tensor of this many elements."""
    return 0 if numel <= CHUNK else 4 * _RARE * (1 + -(-numel // CHUNK))


@dataclass(frozen=True)
class Stretch:
    """Neighbouring magnitudes among some values.

    Attributes:
        values: What is looked at.
        digit: Their bits without the lowest ``shift`` ones.
        shift: How many bits are left out; 0 is one magnitude.
        count: How many of the values have them.
        chunks: How many in each chunk, where that is known; int32.
    """

    values: Values
    digit: int
    shift: int
    count: int
    chunks: torch.Tensor | None = None

    @classmethod
    def holding(
        cls, values: Values, histogram: Histogram, k: int, chunks: ChunkCounts | None = None
    ) -> tuple[Stretch, int]:
        """The stretch that holds the k-th largest magnitude, and which one in it that is."""
        found = histogram.holding(k)
        known = None if chunks is None or histogram.shift else chunks.row(found.bits)
        return cls(values, found.bits, histogram.shift, found.equal, known), k - found.above


@dataclass(frozen=True)
class Element:
    """One of the values.

    Attributes:
        bits: Its magnitude's, see :func:`magnitude_bits`.
        index: Where it is.
    """

    bits: int
    index: int


def elements_at(stretches: Sequence[Stretch], places: Sequence[int]) -> list[Element]:
    """The elements at places of stretches of values with the same base.

    Those whose chunks are known are looked for in one chunk. A stretch of very many elements takes a pass of its own,
    and one more where their magnitudes differ; all others together take one.

    Args:
        stretches: Where they are looked for.
        places: Which of each stretch, counted from 1.
    """
    found = [_by_itself(stretch, place) for stretch, place in zip(stretches, places, strict=True)]
    left = [number for number, element in enumerate(found) if element is None]
    if left:
        for number, keys in zip(left, _keys_of([stretches[number] for number in left]), strict=True):
            found[number] = _at(keys, places[number])
    return [element for element in found if element is not None]


def _by_itself(stretch: Stretch, place: int) -> Element | None:
    values, bits = stretch.values, stretch.digit
    if stretch.chunks is not None:
        return Element(bits, _end_by_chunks(values, bits, place, stretch.chunks) - 1)
    if stretch.count <= _MANY and values.base.numel() <= MOST_PLACES:
        return None
    if stretch.shift:
        inner = stretch_of(values, bits, stretch.shift).holding(place)
        bits, place = inner.bits, place - inner.above
    return Element(bits, end_of_equal(values, bits, place) - 1)


def _keys_of(stretches: Sequence[Stretch]) -> list[torch.Tensor]:
    """The keys of the elements of each stretch, by index."""
    if all(native.serves_values(stretch.values) for stretch in stretches):
        return native.places(stretches)
    return [_keys(stretch) for stretch in stretches]


def _end_by_chunks(values: Values, bits: int, quota: int, counts: torch.Tensor) -> int:
    """The index behind the ``quota``-th element of these bits."""
    if native.serves_values(values):
        return native.end_of_quota(values, bits, quota, counts)
    upto = counts.cumsum(0)
    chunk = int(torch.searchsorted(upto, quota))
    start = chunk * CHUNK
    block = values.block(slice(start, min(start + CHUNK, values.base.numel())))
    places = (magnitude_bits(block) == bits).nonzero().view(-1)
    return start + int(places[quota - (int(upto[chunk - 1]) if chunk else 0) - 1]) + 1


def elements_of(stretch: Stretch) -> tuple[np.ndarray, np.ndarray]:
    """All elements of a stretch by index: their bits and their indices; int64, shape ``(count,)``.

    Raises:
        ValueError: If there are more than :data:`MOST_PLACES` values.
    """
    if stretch.values.base.numel() > MOST_PLACES:
        raise ValueError(f"expected at most {MOST_PLACES} values, there are {stretch.values.base.numel()}")
    keys = _keys_of([stretch])[0].numpy()
    return keys >> 32, keys & _WORD


def largest_of(bits: np.ndarray, count: int) -> tuple[np.ndarray, int]:
    """Which of some magnitudes, given by index, are the ``count`` first in their order.

    Returns:
        Their places, ascending, and the place of the last in the order of magnitudes.
    """
    # By numpy, not by torch, whose threads look for more work for a while and would be in the way of the next pass.
    least = np.partition(bits, bits.size - count)[bits.size - count]
    chosen = bits > least
    equal = np.flatnonzero(bits == least)[: count - int(chosen.sum())]
    chosen[equal] = True
    return np.flatnonzero(chosen), int(equal[-1])


def _keys(stretch: Stretch) -> torch.Tensor:
    values, pieces = stretch.values, []
    for span in spans(values.base.numel(), device=values.base.device):
        bits = magnitude_bits(values.block(span))
        places = (bits >> stretch.shift == stretch.digit).nonzero().view(-1)
        pieces.append((bits[places].long() << 32 | (span.start + places)).cpu())
    return torch.cat(pieces)


def _at(keys: torch.Tensor, place: int) -> Element:
    key = keys.numpy()
    _, last = largest_of(key >> 32, place)
    return Element(int(key[last]) >> 32, int(key[last]) & _WORD)
