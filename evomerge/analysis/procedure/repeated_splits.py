"""Repeated splits: what choosing the best of a shortlist gives on fresh items (SIREN, Xu et al. 2026, 2605.05973).

The shortlist is frozen. Over and over its items are divided at random: by the scores on one part candidates get softmax
weights, and the weighted mean of their scores on the other part is an estimate without optimism. The mean over
divisions is the estimate. Its uncertainty is that of the items: each contributes through the scores that it is part of
and, by the derivative of the softmax, through the weights that it sets; independent normal multipliers of these
contributions give intervals, for one estimate in closed form and for several at once by draws.

Ours: tasks are divided each by itself and their contributions add up by their weights in the objective; items of a
cluster stay on one side and share a multiplier; the softmax's temperature is in standard deviations of an item's value,
so that it means the same for every metric.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evomerge.analysis.intervals import Interval
from evomerge.analysis.student import normal_quantile

__all__ = ["SPLITS", "TEMPERATURE", "RepeatedSplits", "repeated_splits", "simultaneous_quantile"]

Array = NDArray[np.float64]

SPLITS = 20
TEMPERATURE = 0.1
_PART = 0.5  # of the items, by which a division chooses


@dataclass(frozen=True)
class RepeatedSplits:
    """The estimate for a procedure.

    Attributes:
        interval: Expected score of what is chosen, on fresh items.
        contributions: Contribution of each cluster (without clusters: item) to the estimate's error, by task.
        weights: Mean weight of each candidate over the divisions, ``(candidates,)``.
        optimism: Best score on all items minus the estimate, in the direction in which scores are better.
    """

    interval: Interval
    contributions: tuple[Array, ...]
    weights: Array
    optimism: float


def repeated_splits(
    tasks: Sequence[ArrayLike],
    shares: Sequence[float],
    random: np.random.Generator,
    *,
    clusters: Sequence[ArrayLike] | None = None,
    higher: bool = True,
    temperature: float = TEMPERATURE,
) -> RepeatedSplits:
    """Estimates the score, on fresh items, of what is chosen from a shortlist.

    Args:
        tasks: For each task the values, ``(candidates, items)``, of at least two clusters of items.
        shares: Weight of each task's mean in the score.
        random: Divides the items.
        clusters: For each task a label per item, ``(items,)``; None where every item stands alone.
        higher: Whether higher scores are better.
        temperature: Of the softmax, in standard deviations of an item's value; above zero.

    Returns:
        The estimate with its interval (95 %).

    Raises:
        ValueError: if shapes disagree, a value is not finite, or a task has fewer than two clusters.
    """
    values = [_matrix(task) for task in tasks]
    labels = [_labels(v.shape[1], None if clusters is None else clusters[i]) for i, v in enumerate(values)]
    if not values or len(shares) != len(values) or len({len(v) for v in values}) != 1:
        raise ValueError(f"expected one weight per task and the same candidates in each, got {len(shares)} weights")
    sign = 1.0 if higher else -1.0
    spread = math.sqrt(float(np.mean([np.square(v - v.mean(axis=1, keepdims=True)).mean() for v in values])))
    scale = temperature * spread * sum(map(abs, shares))
    errors = [np.zeros(int(label.max()) + 1) for label in labels]
    scores, weights = [], np.zeros(len(values[0]))
    for _ in range(SPLITS):
        chosen_by = [_half(label, random) for label in labels]
        first = _score(values, shares, chosen_by)
        held_out = _score(values, shares, [~part for part in chosen_by])
        soft = _softmax(sign * first / scale) if scale > 0.0 else np.full(len(first), 1.0 / len(first))
        score = float(soft @ held_out)
        # Derivative of the score by the scores that set the weights.
        slope = sign * soft * (held_out - score) / scale if scale > 0.0 else np.zeros(len(first))
        for task, part, label, error, share in zip(values, chosen_by, labels, errors, shares, strict=True):
            for side, direction in ((part, slope), (~part, soft)):
                own = task[:, side]
                moved = direction @ (own - own.mean(axis=1, keepdims=True)) * share / own.shape[1]
                np.add.at(error, label[side], moved / SPLITS)
        scores.append(score)
        weights += soft / SPLITS
    mean = math.fsum(scores) / SPLITS
    whole = _score(values, shares, [np.ones(v.shape[1], dtype=bool) for v in values])
    # A variance of n centred contributions, each task's n of its own.
    se = math.sqrt(sum(float(np.square(e).sum()) * len(e) / (len(e) - 1) for e in errors))
    margin = normal_quantile(0.95) * se
    optimism = float((sign * whole).max()) - sign * mean
    return RepeatedSplits(Interval(mean, se, mean - margin, mean + margin), tuple(errors), weights, optimism)


def simultaneous_quantile(
    contributions: Sequence[ArrayLike], random: np.random.Generator, confidence: float = 0.95, draws: int = 4000
) -> float:
    """Half-width, in standard errors, of intervals that hold several estimates at once.

    Args:
        contributions: For each estimate the contributions of the same clusters, ``(clusters,)``.
        random: Draws the multipliers, which the estimates share.
        confidence: Long-run share in which all hold.
        draws: Number of draws.

    Returns:
        The quantile of the largest absolute standardised error.

    Raises:
        ValueError: if the lengths differ.
    """
    rows = _matrix(np.stack([np.asarray(row, dtype=np.float64) for row in contributions]))
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = np.divide(rows, length, out=np.zeros_like(rows), where=length > 0.0)
    largest = np.abs(random.standard_normal((draws, rows.shape[1])) @ rows.T).max(axis=1)
    return float(np.quantile(largest, confidence))


def _matrix(values: ArrayLike) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or 0 in array.shape or not np.isfinite(array).all():
        raise ValueError(f"expected finite values of shape (candidates, items), got shape {array.shape}")
    return array


def _labels(items: int, clusters: ArrayLike | None) -> NDArray[np.intp]:
    """A number from 0 up for each item: its cluster."""
    given = np.arange(items) if clusters is None else np.asarray(clusters)
    if given.shape != (items,):
        raise ValueError(f"expected a cluster for each of {items} items, got shape {given.shape}")
    _, labels = np.unique(given, return_inverse=True)
    if labels.max() < 1:
        raise ValueError("expected at least two clusters of items")
    return labels.astype(np.intp)


def _half(labels: NDArray[np.intp], random: np.random.Generator) -> NDArray[np.bool_]:
    """Marks the items of a random half of the clusters, of an odd number the smaller half."""
    count = int(labels.max()) + 1
    picked = np.zeros(count, dtype=bool)
    picked[random.permutation(count)[: max(1, int(_PART * count))]] = True
    return picked[labels]


def _score(values: Sequence[Array], shares: Sequence[float], parts: Sequence[NDArray[np.bool_]]) -> Array:
    """Each candidate's score on parts of the tasks, ``(candidates,)``."""
    means = (share * v[:, part].mean(axis=1) for v, share, part in zip(values, shares, parts, strict=True))
    return np.asarray(sum(means), dtype=np.float64)


def _softmax(x: Array) -> Array:
    powers = np.exp(x - x.max())
    return np.asarray(powers / powers.sum())
