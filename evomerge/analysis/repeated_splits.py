"""Repeated splits: what choosing the best of a shortlist gives on fresh items (SIREN, Xu et al. 2026, 2605.05973).

The shortlist is frozen. Over and over its items are divided at random: by the scores on one part candidates get softmax
weights, and the weighted mean of their scores on the other part is an estimate without optimism. The mean over
divisions is the estimate. Its uncertainty is that of the items: each contributes through the scores that it is part of
and, by the derivative of the softmax, through the weights that it sets; independent normal multipliers of these
contributions give a standard error in closed form.

Ours: tasks are divided each by itself and their contributions add up by their weights in the objective; items of a
cluster stay on one side and share a multiplier; the softmax's temperature is in standard deviations of an item's value,
so that it means the same for every metric. It is low, as what is claimed is what taking the best one gives. Shares of
items get score intervals (Wilson) at the number of items that the standard error is worth, as normal ones have no width
where all answers agree. ``experiments/claims`` holds it against its rivals.

The items must be the same for all candidates, and chosen before anyone had answered. Where items are shared out by how
candidates answer, the first rung is; means over what each was asked are too low for whoever was unlucky at first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evomerge.analysis.intervals import Interval, is_binary, weighted_sum
from evomerge.analysis.student import normal_quantile, student_quantile

__all__ = ["SPLITS", "TEMPERATURE", "RepeatedSplits", "repeated_splits"]

Array = NDArray[np.float64]

SPLITS = 20
TEMPERATURE = 0.05
_PART = 0.5  # of the items, by which a division chooses


@dataclass(frozen=True)
class RepeatedSplits:
    """The estimate for a procedure.

    Attributes:
        interval: Expected score of what is chosen, on fresh items.
        weights: Mean weight of each candidate over the divisions, ``(candidates,)``.
        optimism: Best score on all items minus the estimate, in the direction in which scores are better.
    """

    interval: Interval
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
    sign, weighing = 1.0 if higher else -1.0, np.asarray(shares, dtype=np.float64)
    spread = math.sqrt(float(np.mean([np.square(v - v.mean(axis=1, keepdims=True)).mean() for v in values])))
    scale = temperature * spread * sum(map(abs, shares))
    errors = [np.zeros(int(label.max()) + 1) for label in labels]
    means, weights = np.zeros(len(values)), np.zeros(len(values[0]))
    for _ in range(SPLITS):
        chosen_by = [_half(label, random) for label in labels]
        first = _means(values, chosen_by) @ weighing
        by_task = _means(values, [~part for part in chosen_by])
        held_out = by_task @ weighing
        soft = _softmax(sign * first / scale) if scale > 0.0 else np.full(len(first), 1.0 / len(first))
        score = float(soft @ held_out)
        # Derivative of the score by the scores that set the weights.
        slope = sign * soft * (held_out - score) / scale if scale > 0.0 else np.zeros(len(first))
        for task, part, label, error in zip(values, chosen_by, labels, errors, strict=True):
            for side, direction in ((part, slope), (~part, soft)):
                own = task[:, side]
                moved = direction @ (own - own.mean(axis=1, keepdims=True)) / own.shape[1]
                np.add.at(error, label[side], moved / SPLITS)
        means += soft @ by_task / SPLITS
        weights += soft / SPLITS
    parts = [_interval(*of) for of in zip(means.tolist(), values, errors, strict=True)]
    whole = _means(values, [np.ones(v.shape[1], dtype=bool) for v in values]) @ weighing
    interval = weighted_sum(parts, shares)
    optimism = float((sign * whole).max()) - sign * interval.mean
    return RepeatedSplits(interval, weights, optimism)


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


def _means(values: Sequence[Array], parts: Sequence[NDArray[np.bool_]]) -> Array:
    """Each candidate's mean on a part of every task, ``(candidates, tasks)``."""
    return np.stack([v[:, part].mean(axis=1) for v, part in zip(values, parts, strict=True)], axis=1)


def _interval(mean: float, values: Array, errors: Array) -> Interval:
    """The interval of one task's part of the estimate (95 %).

    Args:
        mean: The part.
        values: ``(candidates, items)``.
        errors: Contributions of the task's clusters to the estimate, by a weight of 1.
    """
    count = len(errors)
    # A variance of so many centred contributions.
    se = math.sqrt(float(np.square(errors).sum()) * count / (count - 1))
    alone = count == values.shape[1]
    z = normal_quantile(0.95) if alone and is_binary(values) else student_quantile(0.95, count - 1)
    if not is_binary(values):
        return Interval(mean, se, mean - z * se, mean + z * se)
    mean, spread = min(max(mean, 0.0), 1.0), mean * (1.0 - mean)
    items = min(spread / se**2, values.shape[1]) if se > 0.0 and spread > 0.0 else count
    centre = (mean + z * z / (2 * items)) / (1 + z * z / items)
    margin = z / (1 + z * z / items) * math.sqrt(spread / items + z * z / (4 * items * items))
    return Interval(mean, se, min(max(centre - margin, 0.0), mean), max(min(centre + margin, 1.0), mean))


def _softmax(x: Array) -> Array:
    powers = np.exp(x - x.max())
    return np.asarray(powers / powers.sum())
