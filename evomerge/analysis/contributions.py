"""Contributions of items to a metric, so that a metric of any common kind gets a standard error.

In a mean over items each item contributes its value. Perplexities are functions of sums over items; for them the
jackknife's pseudo-values stand in (Tukey 1958): n times the metric on all items, minus n - 1 times the metric without
the item.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["contributions", "group_weights"]

Sums = tuple[Any, Any]  # (sum of the first column, sum of the second), or arrays of such sums

# The aggregations that lm-eval's tasks use besides the mean, as functions of the sums over items.
_OF_SUMS: tuple[Callable[[Any, Any], Any], ...] = (
    lambda first, second: np.exp(-first / second),  # perplexity; word_perplexity and byte_perplexity with pairs
    lambda first, second: -first / second / math.log(2.0),  # bits_per_byte
    lambda first, second: first / second,  # weighted mean
)


def contributions(values: Sequence[Any], recorded: float) -> NDArray[np.float64] | None:
    """One number per item whose mean is the recorded metric and whose spread gives its standard error.

    The aggregation is inferred: it is the one that reproduces the recorded number.

    Args:
        values: Per-item values as recorded: numbers, or pairs of numbers.
        recorded: The metric over these items.

    Returns:
        Array of shape ``(items,)``, or None when no known aggregation gives the recorded number.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    if array.size == 0 or not np.isfinite(array).all() or not math.isfinite(recorded):
        return None
    if array.ndim == 1:
        if _same(array.mean(), recorded):
            return array
        array = np.column_stack([array, np.ones(len(array))])
    if array.ndim != 2 or array.shape[1] != 2 or len(array) < 2:
        return None
    with np.errstate(all="ignore"):
        for aggregate in _OF_SUMS:
            if _same(aggregate(*array.sum(axis=0)), recorded):
                return _pseudo_values(array, aggregate, recorded)
    return None


def group_weights(recorded: float, scores: Mapping[str, float], sizes: Mapping[str, int]) -> dict[str, float] | None:
    """Weights of the tasks that a task group's score is the mean of.

    Whether by size or evenly is inferred: it is the mean that reproduces the recorded number.

    Args:
        recorded: The group's score.
        scores: Scores of the tasks that may be in the group.
        sizes: Their numbers of items.

    Returns:
        Task to weight, or None when neither mean gives the recorded number.
    """
    for counts in ([float(sizes[task]) for task in scores], [1.0] * len(scores)):
        weights = {task: count / sum(counts) for task, count in zip(scores, counts, strict=True)}
        if weights and _same(math.fsum(weight * scores[task] for task, weight in weights.items()), recorded):
            return weights
    return None


def _pseudo_values(
    pairs: NDArray[np.float64], aggregate: Callable[[Any, Any], Any], recorded: float
) -> NDArray[np.float64] | None:
    n = len(pairs)
    without = pairs.sum(axis=0) - pairs
    pseudo = n * recorded - (n - 1) * aggregate(without[:, 0], without[:, 1])
    if not np.isfinite(pseudo).all():
        return None
    # The jackknife also corrects bias; the report shows the metric as it was recorded.
    return np.asarray(pseudo - pseudo.mean() + recorded)


def _same(computed: float, recorded: float) -> bool:
    return math.isclose(float(computed), recorded, rel_tol=1e-6, abs_tol=1e-9)
