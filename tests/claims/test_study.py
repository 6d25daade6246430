"""The study of claims: e-values by hand and against closed forms, and a small study over a recorded table."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from evomerge.analysis import interval
from evomerge.executors._shared.response_table import read_table
from experiments.claims import study
from experiments.claims.e_values import e_interval, log_e_value, selected_interval
from experiments.estimation.cells import cells, ranked

TABLE = Path(__file__).parents[2] / "experiments" / "responses" / "example_0"


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("right", "n", "mean"), [(0, 20, 0.3), (13, 20, 0.5), (150, 300, 0.45)])
def test_the_e_value_of_answers_is_robbins_beta_mixture(right: int, n: int, mean: float) -> None:
    values = [1.0] * right + [0.0] * (n - right)
    closed = math.lgamma(right + 0.5) + math.lgamma(n - right + 0.5) - math.lgamma(n + 1) - math.log(math.pi)
    closed -= right * math.log(mean) + (n - right) * math.log(1.0 - mean)
    assert log_e_value(values, mean) == pytest.approx(closed, abs=1e-9)
    found = e_interval(values, 0.05)
    for end in (found.low, found.high):
        if 0.0 < end < 1.0:
            assert log_e_value(values, end) == pytest.approx(math.log(20.0), abs=1e-6)
    assert found.low <= right / n <= found.high


def test_bets_on_clusters_are_made_once() -> None:
    single = rng(11).random(40)
    labels = np.repeat(np.arange(40), 5)
    assert log_e_value(np.repeat(single, 5), 0.4, labels) == pytest.approx(log_e_value(single, 0.4))
    clustered, alone = e_interval(np.repeat(single, 5), 0.05, labels), e_interval(single, 0.05)
    assert (clustered.low, clustered.high, clustered.se) == pytest.approx((alone.low, alone.high, alone.se))
    # Three clusters of 3, 1 and 1 items: the second and the third stake a third of what the first does.
    angles = np.linspace(0.0, np.pi / 2.0, 200_001)
    bets = (np.sin(angles) ** 2 - 0.5) / 0.25
    by_hand = (1 + bets * (2 / 3 - 0.5)) * (1 + bets * (1 / 3 - 0.5 / 3)) * (1 - bets * 0.5 / 3)
    uneven = log_e_value([1.0, 1.0, 0.0, 1.0, 0.0], 0.5, [0, 0, 0, 1, 2])
    assert uneven == pytest.approx(math.log(by_hand.mean()), abs=1e-5)


def test_the_best_of_many_is_covered_as_promised_where_its_own_interval_is_not() -> None:
    """Twenty equal models, the best score of each draw chosen."""
    draw, missed, naive = rng(12), 0, 0
    for _ in range(400):
        values = (draw.random((20, 60)) < 0.5).astype(float)
        best = values[values.mean(axis=1).argmax()]
        missed += log_e_value(best, 0.5) >= math.log(20 / 0.05)
        own = interval(best, binary=True)
        naive += not own.low <= 0.5 <= own.high
    assert naive / 400 > 0.3
    assert missed / 400 <= 0.05


def test_a_level_is_shared_by_the_chosen_and_by_tasks() -> None:
    one, two = rng(13).random(50), (rng(14).random(80) < 0.3).astype(float)
    found = selected_interval([one, two], [0.25, -0.75], chosen=2, compared=10)
    first, second = e_interval(one, 0.05 * 0.2 / 2), e_interval(two, 0.05 * 0.2 / 2)
    assert found.low == pytest.approx(0.25 * first.low - 0.75 * second.high)
    assert found.high == pytest.approx(0.25 * first.high - 0.75 * second.low)
    assert found.mean == pytest.approx(0.25 * one.mean() - 0.75 * two.mean())


def test_values_outside_the_unit_interval_and_more_chosen_than_compared_are_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        e_interval([0.2, 1.2], 0.05)
    with pytest.raises(ValueError, match="expected"):
        selected_interval([[0.1, 0.2]], [1.0], chosen=3, compared=2)


def test_a_few_searches_on_a_recorded_table() -> None:
    """What is returned is at most the best, what the choice gives an average over it, and the page says all of it."""
    cell = next(cell for cell in ranked(cells("e", read_table(TABLE))) if cell.key == "e/exam_a/search")
    trials = [study.trial(cell, number, 4, 30) for number in range(6)]
    assert [t.claims for t in trials] == [study.trial(cell, number, 4, 30).claims for number in range(6)]
    assert all(max(t.returned, t.expected) <= cell.truth[cell.members].max() for t in trials)
    found = study.summary(trials)
    inside = [t.claims[study.OWN].low <= t.returned <= t.claims[study.OWN].high for t in trials]
    assert found[study.OWN][0] == pytest.approx(np.mean(inside))
    assert found[study.E_VALUES][2] > found[study.CORRECTED][2] > found[study.OWN][2], "each is wider than the next"
    page = study.page({("apart", 4, 30): trials}, ["e"])
    assert page.count(f"| {study.SPLITS} |") == 2
