"""Estimates from a sample of items: weights from inclusion probabilities, and variances that follow from them."""

from __future__ import annotations

import numpy as np

from evomerge.analysis.clusters import cluster_sums
from evomerge.analysis.estimators._shared.answers import Answers, Array, Indices
from evomerge.analysis.estimators._shared.estimates import Estimates, least_variance
from evomerge.options import Option

__all__ = ["WEIGHTS", "assembled", "expanded_mean", "hajek_weights"]

WEIGHTS = Option(
    "hajek",
    ("hajek", "horvitz_thompson"),
    str,
    "weights of items that are asked with unequal chances: normalised (Hájek), or unbiased and noisier",
)
_NOTHING = 1e-12  # of the scale, below which residuals count as equal


def hajek_weights(answers: Answers, rows: Indices) -> Array:
    """One over the inclusion probability, scaled to sum 1 in each row; 0 where nothing was asked. ``(rows, items)``."""
    inverse = np.where(answers.asked[rows], 1.0 / np.where(answers.asked[rows], answers.probabilities[rows], 1.0), 0.0)
    total = inverse.sum(axis=1, keepdims=True)
    return inverse / np.where(total > 0.0, total, 1.0)


def expanded_mean(answers: Answers, rows: Indices, residuals: Array, weights: str) -> Array:
    """Mean of residuals over all items, from those that were asked.

    Args:
        answers: The table.
        rows: Its rows.
        residuals: ``(rows, items)``; where nothing was asked they are of no interest.
        weights: ``hajek`` or ``horvitz_thompson``.

    Returns:
        ``(rows,)``; NaN for rows that were asked nothing.
    """
    asked = answers.asked[rows]
    if weights == "hajek":
        shares = hajek_weights(answers, rows)
    else:
        shares = np.where(asked, 1.0 / (answers.values.shape[1] * np.where(asked, answers.probabilities[rows], 1.0)), 0)
    found = (shares * np.where(asked, residuals, 0.0)).sum(axis=1)
    return np.where(asked.any(axis=1), found, np.nan)


def assembled(
    answers: Answers, rows: Indices, value: Array, residuals: Array, weights: str = "hajek", centre: Array | None = None
) -> Estimates:
    """Estimates of given values, whose error is that of a mean of residuals over a sample of items.

    The variance is Hájek's for a sample of fixed size and unequal probabilities (Hájek 1964, Annals of Mathematical
    Statistics 35:1491): the sum over asked items of ``(1 - probability)`` times the squared weighted distance of the
    residual to their mean, times n/(n-1). With equal probabilities it is ``(1 - n/N) s**2 / n``. Items of a cluster are
    added before they are squared, and clusters take the place of items in n. Where residuals hardly differ, answers of
    0 and 1 keep `least_variance`; other values do so if the residuals are equal, in units of the table's range.

    Args:
        answers: The table.
        rows: Its rows, which the estimates are of.
        value: Their estimates, ``(rows,)``.
        residuals: Answers minus what was predicted for them, ``(rows, items)``.
        weights: ``hajek`` or ``horvitz_thompson``.
        centre: Where the residuals are centred, ``(rows, items)``, if not at their weighted mean.

    Returns:
        Estimates; those of rows that were asked nothing are unknown.
    """
    asked, probability = answers.asked[rows], answers.probabilities[rows]
    open_share = np.where(asked, 1.0 - probability, 0.0)
    parts = _contributions(answers, rows, residuals, weights, centre)
    index = answers.cluster_index
    clusters = cluster_sums(asked.astype(np.float64), index) > 0
    count = clusters.sum(axis=1)
    small = np.sqrt(count / np.maximum(count - 1, 1))[:, None]
    contributions = cluster_sums(parts * np.sqrt(open_share), index) * small
    sampled = open_share.sum(axis=1) / np.maximum(asked.sum(axis=1), 1)
    if not answers.finite:
        # As far as the items stand for a domain, the spread of the answers themselves adds to the error.
        own = cluster_sums(_contributions(answers, rows, answers.values[rows], "hajek", None), index) * small
        beyond = np.sqrt(asked.mean(axis=1, keepdims=True))
        contributions = np.concatenate([contributions, own * beyond], axis=1)
        clusters = np.concatenate([clusters, np.zeros_like(clusters)], axis=1)
        sampled = np.ones_like(sampled)
    variance = (contributions**2).sum(axis=1)
    variance = _floored(answers, rows, variance, sampled, count)
    variance = np.where(count > 0, variance, np.inf)
    model = np.zeros(len(rows))
    return Estimates(value, np.sqrt(variance), contributions, clusters, sampled, model, answers.scale, answers.binary)


def _contributions(answers: Answers, rows: Indices, residuals: Array, weights: str, centre: Array | None) -> Array:
    """Weighted distances of the residuals to their centre, ``(rows, items)``; 0 where nothing was asked."""
    asked = answers.asked[rows]
    held = np.where(asked, residuals, 0.0)
    shares = hajek_weights(answers, rows)
    if centre is not None:
        return np.where(asked, shares * (held - centre), 0.0)
    if weights == "hajek":
        return shares * (held - (shares * held).sum(axis=1, keepdims=True)) * asked
    probability = np.where(asked, answers.probabilities[rows], 1.0)
    terms = np.where(asked, held / (answers.values.shape[1] * probability), 0.0)
    openness = np.where(asked, 1.0 - probability, 0.0)
    total = openness.sum(axis=1, keepdims=True)
    return (terms - (openness * terms).sum(axis=1, keepdims=True) / np.where(total > 0.0, total, 1.0)) * asked


def _floored(answers: Answers, rows: Indices, variance: Array, sampled: Array, count: Array) -> Array:
    """Variances that are not below what so few answers can show."""
    shares = hajek_weights(answers, rows)
    items = np.maximum(answers.asked[rows].sum(axis=1), 1)
    squares = np.where(count > 0, (shares**2).sum(axis=1), 1.0)
    effective = np.maximum(count, 1) / (items * squares)
    floor = sampled * least_variance(effective) / effective * answers.scale**2
    if answers.binary:
        return np.maximum(variance, floor)
    constant = variance <= (_NOTHING * answers.scale) ** 2
    floor = np.where((count == 1) & (sampled > 0.0), np.inf, floor)
    return np.where(constant, np.maximum(variance, floor), variance)
