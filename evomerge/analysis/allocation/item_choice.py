"""Which items tell models apart: spread, disagreement, and subsets that rank as the whole does.

``values`` are the answers of models to items, ``(models, items)``, NaN where a model was not asked.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["disagreement", "order_agreement", "rank_preserving", "recent_mean_and_spread"]

Matrix = NDArray[np.float64]
Rows = NDArray[np.int_]

_SEPARATION, _RANKING, _REDUNDANCY = 0.5, 0.5, 0.15  # LEVI's weights
_EQUAL = 1e-12


def recent_mean_and_spread(values: Matrix, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance of the last answers to each item.

    Args:
        values: Answers, the last models in the last rows.
        count: At most so many answers of each item are looked at.

    Returns:
        Means and variances ``(items,)``; NaN where nobody has answered.
    """
    known = np.isfinite(values)
    # How many of the answers to an item come after this one.
    after = np.cumsum(known[::-1], axis=0)[::-1]
    chosen = known & (after <= count)
    number = chosen.sum(axis=0)
    kept = np.where(chosen, values, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = kept.sum(axis=0) / number
        variance = np.where(chosen, (values - mean) ** 2, 0.0).sum(axis=0) / number
    return mean, variance


def disagreement(values: Matrix) -> NDArray[np.float64]:
    """How much models disagree on each item: the generalised Jensen-Shannon divergence of their answers.

    DISCO (Rubinstein et al. 2026, arXiv 2510.07959) takes it over the predicted probabilities of all options; here an
    answer is the probability of the right one, or 0 or 1, so there are two classes, right and wrong. That is ours, as
    runs keep what is right and not every option's probability. Of plain right and wrong answers the divergence is the
    entropy of the share that is right.

    Args:
        values: In [0, 1], ``(models, items)``; NaN where a model was not asked.

    Returns:
        Nats, ``(items,)``; 0 for an item that nobody has answered.
    """
    known = np.isfinite(values)
    number = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, values, 0.0).sum(axis=0) / number
    own = np.where(known, _entropy(np.where(known, values, 0.0)), 0.0).sum(axis=0) / number
    return np.asarray(np.maximum(_entropy(mean) - own, 0.0))


def _entropy(p: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.clip(p, 1e-300, 1.0)
    outside = np.clip(1.0 - p, 1e-300, 1.0)
    return np.asarray(-(p * np.log(inside) + (1.0 - p) * np.log(outside)))


def order_agreement(scores: NDArray[np.float64], others: Matrix) -> NDArray[np.float64]:
    """Share of pairs of models that two scores order alike; a tie of one alone counts half.

    Args:
        scores: ``(models,)``.
        others: Other scores of the same models, one column each, ``(models, k)``.

    Returns:
        Shares ``(k,)``.
    """
    first, second = np.triu_indices(len(scores), 1)
    if not len(first):
        return np.ones(others.shape[1])
    one = _sign(scores[first] - scores[second])[:, None]
    two = _sign(others[first] - others[second])
    return np.asarray((1.0 - np.abs(one - two) / 2.0).mean(axis=0))


def rank_preserving(values: Matrix, size: int) -> Rows:
    """Items whose mean orders models as the mean of all items does, chosen one after the other.

    The rule of LEVI (Tanveer 2026, arXiv 2605.09764) as its published code has it: each step adds the item with the
    largest 0.5 mean spread + 0.5 share of pairs ordered as by all items - 0.15 mean absolute correlation with the items
    chosen before. Spreads are standard deviations over models, as a share of the largest.

    Args:
        values: Answers without gaps, ``(models, items)``.
        size: How many items to choose.

    Returns:
        Items in the order of their choice, ``(size,)``; of equal ones the first.
    """
    models, count = values.shape
    spread = values.std(axis=0)
    top = float(spread.max(initial=0.0))
    separation = spread / top if top > _EQUAL else np.zeros(count)
    similar = _correlations(values)
    full, total = values.mean(axis=1), np.zeros(models)
    chosen: list[int] = []
    left = np.ones(count, dtype=bool)
    redundancy = np.zeros(count)
    while len(chosen) < min(size, count):
        taken = len(chosen) + 1
        open_items = np.flatnonzero(left)
        ranking = order_agreement(full, (total[:, None] + values[:, open_items]) / taken)
        own = (separation[chosen].sum() + separation[open_items]) / taken
        gain = _SEPARATION * own + _RANKING * ranking - _REDUNDANCY * redundancy[open_items] / max(taken - 1, 1)
        best = int(open_items[int(gain.argmax())])
        chosen.append(best)
        left[best] = False
        total += values[:, best]
        redundancy += similar[best]
    return np.array(chosen, dtype=int)


def _sign(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.where(np.abs(differences) <= _EQUAL, 0.0, np.sign(differences)))


def _correlations(values: Matrix) -> Matrix:
    """Absolute correlations between items; of one that does not vary 1 with its equals, else 0."""
    centred = values - values.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=0))
    still = length <= _EQUAL * max(len(values), 1) ** 0.5
    scaled = centred / np.where(still, 1.0, length)
    found = np.abs(scaled.T @ scaled)
    equal = np.abs(values.mean(axis=0)[:, None] - values.mean(axis=0)[None, :]) <= 1e-8
    found[still] = 0.0
    found[:, still] = 0.0
    found[np.ix_(still, still)] = equal[np.ix_(still, still)]
    return np.asarray(found)
