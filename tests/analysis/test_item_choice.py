"""Items that tell models apart, against values worked by hand and the sources' definitions."""

from __future__ import annotations

import math

import numpy as np

from evomerge.analysis.allocation.item_choice import (
    disagreement,
    order_agreement,
    rank_preserving,
    recent_mean_and_spread,
)

NAN = math.nan


def test_only_the_last_answers_count() -> None:
    values = np.array([[1.0, NAN], [0.0, 1.0], [NAN, 1.0], [1.0, NAN]])
    mean, variance = recent_mean_and_spread(values, 2)
    assert mean.tolist() == [0.5, 1.0]
    assert variance.tolist() == [0.25, 0.0]
    mean, _ = recent_mean_and_spread(values, 3)
    assert np.allclose(mean, [2 / 3, 1.0])
    assert np.isnan(recent_mean_and_spread(np.full((2, 1), NAN), 2)[0]).all()


def test_disagreement_is_the_jensen_shannon_divergence() -> None:
    """Of 0 and 1 the entropy of the share; of probabilities its excess over the models' own entropies."""
    values = np.array([[1.0, 1.0, 0.25], [0.0, 1.0, 0.75], [NAN, 1.0, 0.75], [1.0, 1.0, 0.25]])
    third = -(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3))
    own = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert np.allclose(disagreement(values), [third, 0.0, math.log(2.0) - own])
    assert disagreement(np.full((3, 1), NAN)).tolist() == [0.0]


def test_order_agreement_counts_pairs() -> None:
    scores = np.array([3.0, 2.0, 1.0])
    others = np.array([[3.0, 1.0, 0.0, 2.0], [2.0, 2.0, 0.0, 2.0], [1.0, 3.0, 0.0, 1.0]])
    assert np.allclose(order_agreement(scores, others), [1.0, 0.0, 0.5, (0.5 + 1.0 + 1.0) / 3])


def test_rank_preserving_items_are_those_of_the_published_rule() -> None:
    """A plain loop over the definition gives the same items in the same order."""
    values = (np.random.default_rng(3).random((9, 14)) < np.linspace(0.1, 0.9, 9)[:, None]).astype(float)
    assert rank_preserving(values, 6).tolist() == by_definition(values, 6)
    assert len(rank_preserving(values, 99)) == 14


def by_definition(values: np.ndarray, size: int) -> list[int]:
    spread, full, chosen = values.std(axis=0), values.mean(axis=1), list[int]()
    while len(chosen) < size:
        gains = {}
        for item in set(range(values.shape[1])) - set(chosen):
            tried = [*chosen, item]
            proxy = values[:, tried].mean(axis=1)
            ranking = agreement(full, proxy)
            redundancy = float(np.mean([correlation(values[:, item], values[:, c]) for c in chosen])) if chosen else 0.0
            gains[item] = 0.5 * spread[tried].mean() / spread.max() + 0.5 * ranking - 0.15 * redundancy
        chosen.append(max(gains, key=lambda item: (round(gains[item], 12), -item)))
    return chosen


def agreement(full: np.ndarray, proxy: np.ndarray) -> float:
    points = []
    for i in range(len(full)):
        for j in range(i + 1, len(full)):
            one, two = (round(float(x[i] - x[j]), 12) for x in (full, proxy))
            points.append(1.0 if np.sign(one) == np.sign(two) else 0.5 if one == 0 or two == 0 else 0.0)
    return float(np.mean(points))


def correlation(one: np.ndarray, two: np.ndarray) -> float:
    if one.std() == 0 or two.std() == 0:
        return float(np.allclose(one, two))
    return abs(float(np.corrcoef(one, two)[0, 1]))
