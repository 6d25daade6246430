"""Intervals for a mean over clustered items: what is usual, and what is ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis import interval, paired_difference, student_quantile
from evomerge.analysis.clusters import resamples

Ends = tuple[float, float]
Vector = NDArray[np.float64]
REPEATS = 200  # bootstrap samples


def ignored(values: Vector, labels: list[int], random: np.random.Generator) -> Ends:
    """Wilson's score interval, as if items were independent."""
    found = interval(values, binary=True)
    return found.low, found.high


def student(values: Vector, labels: list[int], random: np.random.Generator) -> Ends:
    """Student's t on the cluster-robust standard error with as many degrees of freedom as clusters, less one."""
    sums = np.bincount(labels, weights=values - values.mean())
    count = len(sums)
    margin = student_quantile(0.95, count - 1) * float(np.sqrt(count / (count - 1) * sums @ sums)) / values.size
    return float(values.mean()) - margin, float(values.mean()) + margin


def bootstrap(values: Vector, labels: list[int], random: np.random.Generator) -> Ends:
    """Percentiles of means over whole clusters drawn with replacement."""
    sums, sizes = np.bincount(labels, weights=values), np.bincount(labels)
    counts = resamples(None, sums.size, REPEATS, random)
    low, high = np.quantile(counts @ sums / (counts @ sizes), [0.025, 0.975])
    return float(low), float(high)


def ours(values: Vector, labels: list[int], random: np.random.Generator) -> Ends:
    """The score interval of the effective number of items, at Student's quantile."""
    found = interval(values, binary=True, clusters=labels)
    return found.low, found.high


RIVALS: Mapping[str, Callable[[Vector, list[int], np.random.Generator], Ends]] = {
    "clusters ignored": ignored,
    "t": student,
    "cluster bootstrap": bootstrap,
    "ours": ours,
}


def pair_ignored(first: Vector, second: Vector, labels: list[int]) -> Ends:
    """Tango's interval, as if items were independent."""
    found = paired_difference(first, second)
    return found.low, found.high


def pair_ours(first: Vector, second: Vector, labels: list[int]) -> Ends:
    """Tango's interval of the effective number of items, at Student's quantile."""
    found = paired_difference(first, second, clusters=labels)
    return found.low, found.high


def mean_ours(values: Vector, labels: list[int]) -> Ends:
    """Student's t for values that are not 0 and 1."""
    found = interval(values, binary=False, clusters=labels)
    return found.low, found.high
