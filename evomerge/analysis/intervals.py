"""The value of one model on the items of one task, and sums of such values over tasks."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evomerge.analysis.clusters import Clusters
from evomerge.analysis.student import normal_quantile, student_quantile

__all__ = ["Interval", "Labels", "interval", "is_binary", "mean_se", "vector", "weighted_sum"]

Labels = Sequence[Hashable] | None  # the cluster of each item; None where each item stands alone


@dataclass(frozen=True)
class Interval:
    """An estimate with its uncertainty.

    Attributes:
        mean: The estimate itself.
        se: Standard error of the mean; infinite when one item says nothing about spread.
        low: Lower end of the interval; minus infinity when unknown.
        high: Upper end of the interval; infinity when unknown.
    """

    mean: float
    se: float
    low: float
    high: float

    def to_json(self) -> dict[str, float | None]:
        """The four numbers for a JSON file, where what is not finite becomes null."""
        values = {"mean": self.mean, "se": self.se, "low": self.low, "high": self.high}
        return {name: value if math.isfinite(value) else None for name, value in values.items()}


def vector(values: ArrayLike) -> NDArray[np.float64]:
    """Checks that ``values`` is a non-empty vector of finite numbers and returns it as float64, ``(n,)``."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"expected one value per item, got an array of shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"expected finite values, got {array[~np.isfinite(array)][:3].tolist()}")
    return array


def is_binary(values: ArrayLike) -> bool:
    """Whether every value is 0 or 1, as for accuracy and exact match."""
    array = np.asarray(values, dtype=np.float64)
    return bool(((array == 0.0) | (array == 1.0)).all())


def mean_se(values: ArrayLike, clusters: Labels = None) -> tuple[float, float]:
    """Mean over items and its standard error.

    Args:
        values: One value per item, ``(n,)``, ``n`` at least 1.
        clusters: The cluster of each item, ``(n,)``: items that belong together. None: each item stands alone.

    Returns:
        Mean, and sample standard deviation (denominator n - 1) over the root of n, or the standard error over clusters
        (:mod:`evomerge.analysis.clusters`); infinite for a single item or cluster.

    Raises:
        ValueError: if ``values`` is empty, not a vector, or not finite, or there is not one cluster per item.
    """
    array = vector(values)
    mean = float(array.mean())
    if (found := Clusters.of(clusters, array.size)) is not None:
        return mean, found.spread(array).se
    if array.size == 1:
        return mean, math.inf
    return mean, float(array.std(ddof=1) / math.sqrt(array.size))


def interval(values: ArrayLike, binary: bool, confidence: float = 0.95, clusters: Labels = None) -> Interval:
    """Interval for the mean over items of which the given ones are a random sample.

    Values of 0 and 1 get the score interval (Wilson 1927, doi:10.1080/01621459.1927.10502953): it never leaves [0, 1],
    and it keeps a width when all answers are right. Other values get Student's t, which is unbounded for a single item.
    Where items belong together, whole clusters are the random sample: the score interval is that of the effective
    number of items, and t has the degrees of freedom of the clusters.

    Args:
        values: One value per item, ``(n,)``.
        binary: Whether the values are 0 and 1 by nature.
        confidence: Long-run share of intervals that hold the truth.
        clusters: The cluster of each item, ``(n,)``; None: each item stands alone.

    Returns:
        Mean, standard error and interval.

    Raises:
        ValueError: if ``values`` is empty, not finite, or not binary though it was said to be, or there is not one
            cluster per item.
    """
    array = vector(values)
    if binary and not is_binary(array):
        raise ValueError("expected only 0 and 1 in binary values")
    mean, se = mean_se(array, clusters)
    items, degrees, z = effective(array, confidence, clusters)
    if not binary:
        if not math.isfinite(se):
            return Interval(mean, se, -math.inf, math.inf)
        margin = student_quantile(confidence, degrees) * se
        return Interval(mean, se, mean - margin, mean + margin)
    centre = (mean + z * z / (2 * items)) / (1 + z * z / items)
    margin = z / (1 + z * z / items) * math.sqrt(mean * (1 - mean) / items + z * z / (4 * items * items))
    # At p = 0 and p = 1 the end of the interval is exactly p; rounding must not leave the mean outside.
    return Interval(mean, se, min(max(centre - margin, 0.0), mean), max(min(centre + margin, 1.0), mean))


def effective(values: NDArray[np.float64], confidence: float, clusters: Labels = None) -> tuple[float, float, float]:
    """Numbers that a score interval is computed with, where items may belong together.

    Returns:
        Effective number of items, degrees of freedom of the standard error, and the quantile: the normal one where
        each item stands alone, else Student's, since the design effect is estimated from the clusters.
    """
    found = Clusters.of(clusters, values.size)
    if found is None:
        return values.size, values.size - 1, normal_quantile(confidence)
    spread = found.spread(values)
    wide = student_quantile(confidence, spread.degrees) if spread.degrees else normal_quantile(confidence)
    return spread.items, spread.degrees, wide


def weighted_sum(parts: Sequence[Interval], weights: Sequence[float]) -> Interval:
    """Interval of a weighted sum of independent estimates, for example of the mean over tasks.

    Squares of the distances to each part's own limits are added (the MOVER method, Zou & Donner 2008,
    doi:10.1002/sim.3095), so the asymmetry of a score interval near 0 or 1 survives.

    Args:
        parts: Estimates from disjoint sets of items.
        weights: One weight per part, of any sign.

    Returns:
        Weighted sum, its standard error and interval.

    Raises:
        ValueError: if there are no parts, or the lengths differ.
    """
    if not parts or len(parts) != len(weights):
        raise ValueError(f"expected one weight per part, got {len(parts)} parts and {len(weights)} weights")
    below = above = variance = 0.0
    used = [(part, weight) for part, weight in zip(parts, weights, strict=True) if weight != 0.0]
    for part, weight in used:
        ends = (weight * (part.low - part.mean), weight * (part.high - part.mean))
        below += min(ends) ** 2
        above += max(ends) ** 2
        variance += (weight * part.se) ** 2
    mean = math.fsum(weight * part.mean for part, weight in used)
    return Interval(mean, math.sqrt(variance), mean - math.sqrt(below), mean + math.sqrt(above))
