"""How much of both specialists a merge has at once: the smaller of its two shares, with an interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
TARGET = 0.97
REPEATS = 4000


@dataclass(frozen=True)
class Share:
    """The share of both specialists at once.

    Attributes:
        value: The smaller of the two shares.
        low: Lower end of its 95 % interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Whether the target is reached, as far as the items tell."""
        if self.low >= TARGET:
            return "reached"
        return "missed" if self.high < TARGET else "open"


def share(member: Array, specialists: Array) -> float:
    """The smaller of the two shares.

    Args:
        member: Answers of the merge, 1 where right, ``(2, items)``.
        specialists: Those of the specialist of each task to the same items, ``(2, items)``.

    Returns:
        The smallest ratio of the merge's accuracy and the specialist's.
    """
    return float((member.mean(axis=1) / specialists.mean(axis=1)).min())


def interval(member: Array, specialists: Array, seed: int = 0) -> Share:
    """The share with its 95 % interval, by a bootstrap of items that both were asked.

    Items of the two tasks are drawn independently, those of merge and specialist together.

    Args:
        member: As for :func:`share`.
        specialists: As for :func:`share`.
        seed: Of the bootstrap.
    """
    tasks, items = member.shape
    random = np.random.default_rng(seed)
    ratios = []
    for task in range(tasks):
        drawn = random.integers(items, size=(REPEATS, items))
        ours, theirs = member[task][drawn].mean(axis=1), specialists[task][drawn].mean(axis=1)
        ratios.append(ours / np.maximum(theirs, 1.0 / items))  # of a specialist that has nothing right in a draw
    low, high = np.quantile(np.min(ratios, axis=0), [0.025, 0.975])
    return Share(share(member, specialists), float(low), float(high))
