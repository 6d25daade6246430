"""Two models on the same items: the paired difference of their means."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evomerge.analysis.intervals import Interval, Labels, effective, interval, is_binary, mean_se, vector

__all__ = ["paired_difference", "paired_differences"]

_ROUNDING = 1e-12  # of the larger values, below which differences are taken for equal


def paired_difference(a: ArrayLike, b: ArrayLike, confidence: float = 0.95, clusters: Labels = None) -> Interval:
    """Interval for mean(a) - mean(b) when both models answered the same items, in the same order.

    When all values are 0 or 1 only items that one of the two solves say anything, and the score interval of Tango 1998
    (Statistics in Medicine 17:891) is used: it needs no large sample and has a width when the two models never
    disagree. Other values get Student's t on the differences. Where these are all the same, but not zero, they say
    nothing about their spread, as a single item does not, and the interval is unbounded. Where items belong together,
    whole clusters are counted, as for `interval`.

    Args:
        a: One value per item, ``(n,)``.
        b: One value per item, ``(n,)``, item by item the same as in ``a``.
        confidence: Long-run share of intervals that hold the truth.
        clusters: The cluster of each item, ``(n,)``; None: each item stands alone.

    Returns:
        Mean difference, its standard error and interval.

    Raises:
        ValueError: if the lengths differ, or as for `interval`.
    """
    return paired_differences(a, b, clusters)(confidence)


def paired_differences(a: ArrayLike, b: ArrayLike, clusters: Labels = None) -> Callable[[float], Interval]:
    """As `paired_difference`, by confidence: what does not depend on that is computed once."""
    first, second = vector(a), vector(b)
    if first.shape != second.shape:
        raise ValueError(f"expected the same items in both, got {first.size} and {second.size} values")
    if not (is_binary(first) and is_binary(second)):
        return functools.partial(_mean_difference, first, second, clusters)
    gaps = first - second
    mean, se = mean_se(gaps, clusters)
    only_first, only_second = int(np.sum(first > second)), int(np.sum(second > first))

    def at(confidence: float) -> Interval:
        n, _, z = effective(gaps, confidence, clusters)
        # With fewer independent items than items there are as many times fewer that tell the two apart.
        share = n / first.size
        low, high = _tango(share * only_first, share * only_second, n, z)
        return Interval(mean, se, min(low, mean), max(high, mean))

    return at


def _mean_difference(
    first: NDArray[np.float64], second: NDArray[np.float64], clusters: Labels, confidence: float
) -> Interval:
    found = interval(first - second, binary=False, confidence=confidence, clusters=clusters)
    if not _constant(first, second):
        return found
    if abs(found.mean) <= _rounding(first, second):
        return Interval(0.0, 0.0, 0.0, 0.0)
    return Interval(found.mean, math.inf, -math.inf, math.inf)


def _constant(first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    """Whether the differences of several items are all the same up to rounding."""
    return first.size > 1 and bool(np.ptp(first - second) <= _rounding(first, second))


def _rounding(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    return _ROUNDING * max(float(np.abs(first).max()), float(np.abs(second).max()))


# A p-value asks for many intervals, and comparisons of a run are often of the same counts.
@functools.lru_cache(maxsize=1 << 14)
def _tango(only_first: float, only_second: float, n: float, z: float) -> tuple[float, float]:
    """Both ends of Tango's interval: the differences whose score statistic is z and -z."""
    apart, between, slope = -only_first - only_second, only_first - only_second, 2 * n - only_first + only_second
    four, eight = 4.0 * n, 8.0 * n

    def score(delta: float) -> float:
        b = apart + slope * delta
        c = -only_second * delta * (1.0 - delta)
        root = b * b - eight * c
        q01 = ((math.sqrt(root) if root > 0.0 else 0.0) - b) / four
        variance = n * (2.0 * q01 + delta * (1.0 - delta))
        distance = between - n * delta
        if variance <= 0.0:
            return math.copysign(math.inf, distance) if distance else 0.0
        return distance / math.sqrt(variance)

    mean = (only_first - only_second) / n
    return _crossing(score, z, -1.0, mean), _crossing(score, -z, mean, 1.0)


def _crossing(score: Callable[[float], float], level: float, low: float, high: float) -> float:
    """Argument at which a falling function passes a level, by bisection; the near end when it never does."""
    for _ in range(80):
        middle = 0.5 * (low + high)
        if middle in (low, high):  # neighbours
            break
        if score(middle) > level:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
