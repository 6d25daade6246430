"""Which elements of a delta are kept.

What is not kept is multiplied by zero, not replaced by it: NaN and infinity stay where they are seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from evomerge.kernels.noise import uniform
from evomerge.kernels.values import Values


def magnitude_bits(values: torch.Tensor) -> torch.Tensor:
    """The bits of float32 ``|values|`` as int32, which order as the magnitudes do; all NaN alike are the largest."""
    return (values.view(torch.int32) & 0x7FFFFFFF).clamp_(max=0x7F800001)


@dataclass(frozen=True)
class Cut:
    """The largest elements of a tensor down to some place; of equal ones the first.

    Attributes:
        bits: Magnitude at the threshold; all above it are in, see :func:`magnitude_bits`.
        end: Elements equal to the threshold are in if their index is below this.
    """

    bits: int
    end: int

    def holds(self, bits: torch.Tensor, span: slice) -> torch.Tensor:
        """Which of the elements in one block are in."""
        if span.stop <= self.end:
            return bits >= self.bits
        inside = bits > self.bits
        if span.start < self.end:
            head = slice(0, self.end - span.start)
            inside[head] = bits[head] >= self.bits
        return inside


NOTHING = Cut(0x7FFFFFFF, 0)
"""The cut that no element is in."""


@dataclass(frozen=True)
class Window:
    """Keeps what is in one cut but not in another: all but the smallest, and all but the very largest.

    Attributes:
        within: What is kept.
        beyond: What of that is left out.
    """

    within: Cut
    beyond: Cut = NOTHING

    def mask(self, block: torch.Tensor, span: slice) -> torch.Tensor:
        """Which elements of one block of values are kept."""
        bits = magnitude_bits(block)
        inside = self.within.holds(bits, span)
        return inside if self.beyond is NOTHING else inside.logical_and_(self.beyond.holds(bits, span).logical_not_())


@dataclass(frozen=True)
class Chance:
    """Keeps an element if its noise lies below its probability, see :func:`evomerge.kernels.uniform`.

    Attributes:
        key: Random key of the delta.
        low: The probability, or that of rank 0; rounded to float32.
        step: What each further rank adds.
        ranks: uint16 rank of every element, or None where all have the same probability.
        own: Whether what is kept is divided by its own probability.
    """

    key: int
    low: float
    step: float = 0.0
    ranks: torch.Tensor | None = None
    own: bool = False


@dataclass(frozen=True)
class RankWindow:
    """Keeps elements by their ranks.

    Attributes:
        ranks: uint16 rank of every element.
        first: The lowest rank that is kept.
        stop: The rank behind the highest that is kept.
    """

    ranks: torch.Tensor
    first: int
    stop: int


@dataclass(frozen=True)
class Selection:
    """Elements chosen by other values than those that are thinned out.

    Attributes:
        values: What decides.
        keep: Which of the values are large enough.
    """

    values: Values
    keep: Window

    def mask(self, span: slice) -> torch.Tensor:
        """Which elements of one block are chosen."""
        return self.keep.mask(self.values.block(span), span)


Keep = Window | Chance | RankWindow


def thin(keep: Keep, block: torch.Tensor, span: slice) -> torch.Tensor:
    """Sets those elements of a delta's block that are not kept to zero, in place.

    Args:
        keep: What is kept.
        block: float32, changed.
        span: Which block of the tensor it is.
    """
    if isinstance(keep, Window):
        return block.mul_(keep.mask(block, span))
    if isinstance(keep, RankWindow):
        ranks = keep.ranks[span].to(block.device, torch.int32)
        return block.mul_((ranks >= keep.first).logical_and_(ranks < keep.stop))
    noise = uniform(keep.key, span, block.device)
    low = torch.tensor(keep.low, dtype=torch.float32, device=block.device)
    if keep.ranks is None:
        return block.mul_(noise < low)
    chance = keep.ranks[span].to(block.device, torch.float32).mul_(keep.step).add_(low)
    block.mul_(noise < chance)
    return block.div_(chance) if keep.own else block
