"""Mean and spread of one number per run, and differences between runs that share something, such as a seed."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from evomerge.analysis.intervals import Interval, interval


@dataclass(frozen=True)
class Spread:
    """Numbers of several runs, summed up.

    Attributes:
        n: How many.
        mean: Their mean; NaN of none.
        sd: Their standard deviation, with n - 1; NaN of fewer than two.
        best: The best one; NaN of none.
    """

    n: int
    mean: float
    sd: float
    best: float


def spread(values: ArrayLike, higher_is_better: bool) -> Spread:
    """Sums up numbers of several runs.

    Args:
        values: One number per run, ``(n,)``; those that are not finite are left out.
        higher_is_better: Whether the largest is the best.
    """
    array = np.asarray(values, dtype=np.float64).reshape(-1)
    array = array[np.isfinite(array)]
    if not len(array):
        return Spread(0, math.nan, math.nan, math.nan)
    sd = float(array.std(ddof=1)) if len(array) > 1 else math.nan
    return Spread(len(array), float(array.mean()), sd, float(array.max() if higher_is_better else array.min()))


def paired_by(
    first: Mapping[Hashable, float], second: Mapping[Hashable, float], comparisons: int = 1
) -> Interval | None:
    """The mean difference between two settings over the seeds that both have, with Student's t.

    Args:
        first: Seed to number.
        second: The same of what it is compared with.
        comparisons: How many differences are looked at; the 95 % hold for all of them together (Bonferroni).

    Returns:
        First minus second; None where fewer than two seeds are shared.
    """
    shared = [seed for seed in first if seed in second]
    found = np.array([first[seed] - second[seed] for seed in shared], dtype=np.float64)
    found = found[np.isfinite(found)]
    return interval(found, binary=False, confidence=1.0 - 0.05 / comparisons) if len(found) > 1 else None
