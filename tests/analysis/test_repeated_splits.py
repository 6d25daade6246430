"""Repeated splits: by hand, and over many repetitions with a known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evomerge.analysis import interval
from evomerge.analysis.repeated_splits import repeated_splits


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_two_items_that_two_models_solve_in_turn_give_the_loser_s_score() -> None:
    # Whichever item chooses, its solver misses the other one. The softmax's temperature is 0.1 of the spread 0.5.
    found = repeated_splits([[[1.0, 0.0], [0.0, 1.0]]], [1.0], rng(0), temperature=0.1)
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


def test_shares_of_items_keep_a_width_where_all_answers_agree() -> None:
    right = np.ones((3, 40))
    found, wilson = repeated_splits([right], [1.0], rng(2)).interval, interval(right[0], binary=True)
    assert (found.mean, found.se, found.high) == (1.0, 0.0, 1.0)
    assert found.low == pytest.approx(wilson.low)
    in_tens = repeated_splits([right], [1.0], rng(2), clusters=[np.repeat(np.arange(4), 10)]).interval
    assert in_tens.low == pytest.approx(1.0 / (1.0 + 3.182446**2 / 4)), "four clusters, three degrees of freedom"
    two = repeated_splits([right, right], [0.5, 0.5], rng(2)).interval
    assert two.low == pytest.approx(1.0 - 0.5 * math.hypot(1.0 - wilson.low, 1.0 - wilson.low)), "independent tasks"
    alone = np.where(rng(1).random((1, 200)) < 0.8, 1.0, 0.0)
    found, wilson = repeated_splits([alone], [1.0], rng(2)).interval, interval(alone[0], binary=True)
    assert found.high - found.low == pytest.approx(wilson.high - wilson.low, rel=0.1)


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


@pytest.mark.parametrize(
    "call",
    [
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
