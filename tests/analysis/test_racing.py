"""Races: p-values against an independent formula, and mistakes no more often than stated."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evomerge.analysis.allocation.racing import (
    Part,
    beaten,
    chance_of_selection,
    differences,
    paired_p_values,
    wilcoxon_p_value,
)
from evomerge.analysis.allocation.shrinkage import shrunk
from evomerge.analysis.student import student_quantile

LEVEL = 0.05


def part(values: object, weights: object = None, **settings: object) -> Part:
    array = np.asarray(values, dtype=np.float64)
    return Part(array, np.ones(array.shape[1]) if weights is None else np.asarray(weights), **settings)  # type: ignore


def test_differences_by_hand() -> None:
    """Two models, four items, differing on two: 2/4 apart; the variance of (1, 1, 0, 0) and the two added."""
    difference, se, degrees = differences([part([[1, 1, 0, 1], [0, 0, 0, 1]])])
    assert difference.tolist() == [[0.0, 0.5], [-0.5, 0.0]]
    assert se[0, 1] == pytest.approx(math.sqrt((1 / 3) / 4 + 2 / 36))
    assert degrees == 3
    half, smaller, _ = differences([part([[1, 1, 0, 1], [0, 0, 0, 1]], population=8)])
    assert (half == difference).all()
    assert smaller[0, 1] == pytest.approx(se[0, 1] * math.sqrt(0.5)), "half of the population is known"


def test_weights_are_those_of_repeated_items() -> None:
    """An item of weight 2 moves a mean as two copies do."""
    once = part([[1, 0, 1], [0, 0, 1]], [2.0, 1.0, 1.0])
    twice = part([[1, 1, 0, 1], [0, 0, 0, 1]])
    assert np.allclose(once.means, twice.means)


@pytest.mark.parametrize("items", [2, 3, 8, 9, 40])
def test_p_values_are_those_of_a_paired_t_test(items: int) -> None:
    """The statistic is the quantile of Student's t that belongs to the p-value, by another formula."""
    random = np.random.default_rng(items)
    parts = [part(random.random((3, items)))]
    difference, se, degrees = differences(parts)
    p = paired_p_values([parts])
    for a, b in ((0, 1), (1, 2), (2, 0)):
        tail = min(p[a, b], 1.0 - p[a, b])
        assert abs(difference[a, b] / se[a, b]) == pytest.approx(student_quantile(1.0 - 2.0 * tail, degrees))
        assert (p[a, b] < 0.5) == (difference[a, b] > 0.0)
    assert p.diagonal().tolist() == [1.0] * 3


def test_several_objectives_need_every_one() -> None:
    better = part(np.tile([0.0, 1.0, 0.0, 1.0, 0.2], (2, 4)) * [[0.0], [1.0]])
    alone = paired_p_values([[better]])
    assert alone[1, 0] < 0.01
    assert paired_p_values([[better], [better]])[1, 0] == alone[1, 0]
    both = paired_p_values([[better], [Part(better.values[::-1], better.weights)]])
    assert min(both[1, 0], both[0, 1]) > 0.9


def test_partial_conjunction_by_hand() -> None:
    """Places for 2 of 4: of the p-values against the 3 others the smallest is left out, the rest combined by Simes."""
    p = np.ones((4, 4))
    p[0, 1:] = [0.001, 0.02, 0.04]
    # (4 - 2) / 1 * 0.02 = 0.04 and (4 - 2) / 2 * 0.04 = 0.04
    assert beaten(p, 2, 0.041).tolist() == [True, False, False, False]
    assert not beaten(p, 2, 0.039).any()
    assert not beaten(p, 4, 0.5).any(), "a place for everyone"


def simulated(random: np.random.Generator, n: int, items: int) -> tuple[np.ndarray, np.ndarray]:
    """Abilities and the answers of models that share the difficulty of items, losses being 1."""
    ability = random.normal(0.0, 1.0, n)
    difficulty, own = random.normal(0.0, 1.5, items), random.normal(0.0, 0.5, (n, items))
    return ability, 1.0 - (ability[:, None] + difficulty + own > 0.0)


def test_a_candidate_with_a_right_to_a_place_is_rarely_dropped() -> None:
    random, mistakes, dropped, rounds = np.random.default_rng(0), 0, 0, 150
    for _ in range(rounds):
        ability, losses = simulated(random, 16, 40)
        out = beaten(paired_p_values([[part(losses)]]), 8, LEVEL)
        entitled = np.argsort(-ability)[:8]
        mistakes += int(out[entitled].sum())
        dropped += int(out.sum())
    assert mistakes / (8 * rounds) <= LEVEL
    assert dropped / rounds > 2.0, "a test that drops nobody controls every error"


def test_equal_candidates_are_dropped_no_more_often_than_stated() -> None:
    random, dropped, rounds = np.random.default_rng(1), 0, 300
    for _ in range(rounds):
        difficulty = random.random(20)
        losses = (random.random((8, 20)) < difficulty).astype(float)
        dropped += int(beaten(paired_p_values([[part(losses)]]), 4, LEVEL).sum())
    assert dropped / (8 * rounds) <= LEVEL


def test_chances_of_selection() -> None:
    random = np.random.default_rng(2)
    sure = part(np.repeat([[0.0], [0.5], [1.0]], 30, axis=1) + 0.01 * random.standard_normal((3, 30)))
    assert chance_of_selection([[sure]], 1, 200, random).tolist() == [1.0, 0.0, 0.0]
    alike = part(random.random((4, 30)))
    chances = chance_of_selection([[alike]], 2, 400, random)
    assert chances.sum() == pytest.approx(2.0)
    assert ((chances > 0.0) & (chances < 1.0)).all()
    opposed = Part(sure.values[::-1], sure.weights)
    both = chance_of_selection([[sure], [opposed]], 3, 50, random)
    assert both.tolist() == [1.0, 1.0, 1.0], "of several objectives nobody is dominated"


def test_wilcoxon_by_hand() -> None:
    """Ranks 1, 2, 3, 4; positive 2 + 3 + 4 = 9, mean 5, variance 4 * 5 * 9 / 24 = 7.5."""
    z = (9.0 - 5.0) / math.sqrt(7.5)
    assert wilcoxon_p_value(np.array([-1.0, 2.0, 3.0, 4.0])) == pytest.approx(0.5 * math.erfc(z / math.sqrt(2.0)))
    assert wilcoxon_p_value(np.zeros(5)) == pytest.approx(0.5)
    # One tie of two: ranks 1.5, 1.5, 3; positive 1.5 + 3; variance 3 * 4 * 7 / 24 - (8 - 2) / 48 = 3.375.
    z = (4.5 - 3.0) / math.sqrt(3.375)
    assert wilcoxon_p_value(np.array([1.0, -1.0, 2.0])) == pytest.approx(0.5 * math.erfc(z / math.sqrt(2.0)))


def test_shrinkage_by_hand() -> None:
    """Values 0, 1, 2 have variance 1; with errors of 0.5 everywhere 1 - 0.25 is left, and 3/4 of each distance."""
    values = np.array([0.0, 1.0, 2.0])
    assert shrunk(values, np.full(3, 0.5)).tolist() == pytest.approx([0.25, 1.0, 1.75])
    assert shrunk(values, np.zeros(3)).tolist() == values.tolist()
    uneven = shrunk(np.array([0.0, 1.0, 2.0]), np.array([0.0, 0.0, 1.0]))
    assert uneven[:2].tolist() == pytest.approx([0.0, 1.0])
    assert uneven[2] < 1.5, "the least certain moves most"
    grouped = shrunk(np.array([0.0, 1.0, 2.0, 10.0]), np.full(4, 0.5), np.array([0, 0, 0, 1]))
    assert grouped[3] == 10.0
