"""Repeated splits and e-values: by hand, against closed forms, and over many repetitions with a known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evomerge.analysis import interval
from evomerge.analysis.procedure import (
    e_interval,
    log_e_value,
    repeated_splits,
    selected_interval,
    simultaneous_quantile,
)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_two_items_that_two_models_solve_in_turn_give_the_loser_s_score() -> None:
    # Whichever item chooses, its solver misses the other one. The softmax's temperature is 0.1 of the spread 0.5.
    found = repeated_splits([[[1.0, 0.0], [0.0, 1.0]]], [1.0], rng(0))
    assert found.interval.mean == pytest.approx(1.0 / (1.0 + math.exp(1.0 / 0.05)))
    assert found.optimism == pytest.approx(0.5, abs=1e-6), "half of the items is each one's score on all"
    assert found.weights == pytest.approx([0.5, 0.5], abs=0.3)


def test_a_shortlist_of_one_has_its_mean_and_the_usual_error() -> None:
    values = rng(1).random((1, 41))
    found = repeated_splits([values], [0.5], rng(2))
    assert found.interval.mean == pytest.approx(0.5 * values.mean(), abs=0.02), "a mean over random halves"
    # Over many divisions each item is held out as often as any other.
    assert found.interval.se == pytest.approx(0.5 * values.std(ddof=1) / math.sqrt(41), rel=0.1)
    assert found.weights == pytest.approx([1.0])


def test_lower_is_better_turns_the_choice_around() -> None:
    values = np.where(rng(3).random((3, 60)) < np.array([[0.2], [0.5], [0.8]]), 1.0, 0.0)
    high = repeated_splits([values], [1.0], rng(4))
    low = repeated_splits([values], [1.0], rng(4), higher=False)
    assert high.interval.mean > 0.7
    assert high.weights.argmax() == 2
    assert low.interval.mean < 0.3
    assert low.weights.argmax() == 0
    mirrored = repeated_splits([1.0 - values], [1.0], rng(4))
    assert low.interval.mean == pytest.approx(1.0 - mirrored.interval.mean)
    assert low.interval.se == pytest.approx(mirrored.interval.se)


def test_items_of_a_cluster_count_once() -> None:
    single = np.where(rng(5).random((4, 50)) < 0.6, 1.0, 0.0)
    thrice = np.repeat(single, 3, axis=1)
    whole = repeated_splits([single], [1.0], rng(6))
    clustered = repeated_splits([thrice], [1.0], rng(6), clusters=[np.repeat(np.arange(50), 3)])
    assert clustered.interval.mean == pytest.approx(whole.interval.mean)
    assert clustered.interval.se == pytest.approx(whole.interval.se)


@pytest.mark.parametrize("gap", [0.0, 0.04], ids=["equal models", "models apart"])
def test_repeated_splits_hold_their_target_where_the_best_score_is_optimistic(gap: float) -> None:
    """300 draws of 120 items for 6 models: the mean of the estimates is their target."""
    skills = 0.5 + gap * np.arange(6)
    draw, estimates, errors, best = rng(7), [], [], []
    for _ in range(300):
        hard = draw.normal(size=120)  # items that are hard for one are hard for all
        values = (draw.normal(size=(6, 120)) + hard < np.sqrt(2.0) * _quantile(skills)[:, None]).astype(float)
        found = repeated_splits([values], [1.0], draw)
        estimates.append(found.interval.mean)
        errors.append(found.interval.se)
        best.append(values.mean(axis=1).max())
    target = float(np.mean(estimates))
    assert target < skills[-1] + 0.005, "what is chosen is no better than the best"
    assert np.mean(best) > target + 0.02
    covered = np.abs(np.array(estimates) - target) <= 1.96 * np.array(errors)
    assert 0.92 <= covered.mean() <= 0.98
    if gap == 0.0:
        assert target == pytest.approx(0.5, abs=0.006), "there is nothing to choose from"


def test_estimates_that_share_items_need_a_wider_quantile_only_where_they_differ() -> None:
    row = rng(8).normal(size=200)
    other = rng(9).normal(size=200)
    assert simultaneous_quantile([row, 2.0 * row], rng(10)) == pytest.approx(1.96, abs=0.06)
    other -= row * (row @ other) / (row @ row)
    # Two independent ones: each at the square root of 0.95.
    assert simultaneous_quantile([row, other], rng(10)) == pytest.approx(2.236, abs=0.06)


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


@pytest.mark.parametrize(
    "call",
    [
        lambda: e_interval([0.2, 1.2], 0.05),
        lambda: selected_interval([[0.1, 0.2]], [1.0], chosen=3, compared=2),
        lambda: repeated_splits([[[1.0], [0.0]]], [1.0], rng(0)),
        lambda: repeated_splits([[[1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]], [1.0, 1.0], rng(0)),
        lambda: repeated_splits([[[1.0, np.nan]]], [1.0], rng(0)),
        lambda: repeated_splits([[[1.0, 0.0]]], [1.0], rng(0), clusters=[[0]]),
    ],
)
def test_what_does_not_fit_is_refused(call: object) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match="expected"):
        call()


def _quantile(shares: np.ndarray) -> np.ndarray:
    from statistics import NormalDist

    return np.array([NormalDist().inv_cdf(share) for share in shares])
