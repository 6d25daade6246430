"""Masks that sparsify deltas: by magnitude, at random, by rank.

What a mask drops is multiplied by zero rather than replaced by it, so NaN and infinity stay visible.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Threshold:
    """Top-k threshold; ties go to the lowest index.

    Attributes:
        bits: Magnitude at the threshold; all above it are in, see :func:`evomerge.kernels.magnitude_bits`.
        end: Elements equal to the threshold are in if their index is below this.
    """

    bits: int
    end: int


NOTHING = Threshold(0x7FFFFFFF, 0)
"""The threshold that no element reaches."""


@dataclass(frozen=True)
class Window:
    """Keeps the elements that reach one threshold but not a second, higher one.

    Attributes:
        within: Threshold that kept elements reach.
        beyond: Threshold that they do not reach.
    """

    within: Threshold
    beyond: Threshold = NOTHING


@dataclass(frozen=True)
class BernoulliMask:
    """Keeps an element if its noise lies below its probability, see :func:`evomerge.kernels.uniform`.

    Attributes:
        key: Random key of the delta.
        probability: Keep probability, or that of rank 0; rounded to float32.
        step: Increase of the probability per rank.
        ranks: uint16 rank of every element, or None where all have the same probability.
        rescale: Whether kept elements are divided by their own probability.
        window: Of the elements kept so far, still undivided, only those in this window are; None is all.
    """

    key: int
    probability: float
    step: float = 0.0
    ranks: torch.Tensor | None = None
    rescale: bool = False
    window: Window | None = None


LEVELS = 1 << 16
"""Number of ranks that uint16 can hold."""


@dataclass(frozen=True)
class RankWindow:
    """Keeps the elements whose ranks lie in a range.

    Attributes:
        ranks: uint16 rank of every element.
        first: Lowest rank that is kept.
        stop: The rank after the highest that is kept.
    """

    ranks: torch.Tensor
    first: int
    stop: int


Mask = Window | BernoulliMask | RankWindow
