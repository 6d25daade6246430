"""Means over repeats of a study (runs, seeds) with their intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis import mean_se, student_quantile

Array = NDArray[np.float64]


def over_repeats(values: Array) -> tuple[float, float, float]:
    """Mean with its 95 % t interval; without ends for fewer than two repeats."""
    if not len(values):
        return np.nan, -np.inf, np.inf
    mean, se = mean_se(values)
    if len(values) < 2:
        return mean, -np.inf, np.inf
    half = student_quantile(0.95, len(values) - 1) * se
    return mean, mean - half, mean + half


def percent(values: Array) -> str:
    """The mean of shares with its interval, in per cent."""
    mean, low, high = (100 * value for value in over_repeats(values))
    return f"{mean:.1f} % [{low:.1f}, {high:.1f}]"


def points(values: Array) -> str:
    """The mean of differences of shares with its interval, in points."""
    mean, low, high = (100 * value for value in over_repeats(values))
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"
