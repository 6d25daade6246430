"""Contributions of items to metrics, against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evomerge.analysis.contributions import contributions, group_weights


def test_an_item_of_a_mean_adds_its_value() -> None:
    found = contributions([1.0, 0.0, 1.0, 1.0], 0.75)
    assert found is not None
    assert found.tolist() == [1.0, 0.0, 1.0, 1.0]


def test_perplexity_gets_the_standard_error_of_the_delta_method() -> None:
    values = np.random.default_rng(0).normal(-2.0, 0.5, size=4000)
    found = contributions(values.tolist(), float(np.exp(-values.mean())))
    assert found is not None
    assert found.mean() == pytest.approx(np.exp(-values.mean()))
    by_hand = np.exp(-values.mean()) * values.std(ddof=1) / math.sqrt(len(values))
    assert found.std(ddof=1) / math.sqrt(len(values)) == pytest.approx(by_hand, rel=1e-2)


def test_the_spread_is_that_of_the_jackknife() -> None:
    values = np.array([-1.0, -2.0, -4.0])
    found = contributions(values.tolist(), float(np.exp(-values.mean())))
    assert found is not None
    without = np.exp([3.0, 2.5, 1.5])  # perplexity of the other two, item by item
    by_hand = math.sqrt(2 / 3 * ((without - without.mean()) ** 2).sum())
    assert found.std(ddof=1) / math.sqrt(3) == pytest.approx(by_hand)


@pytest.mark.parametrize(
    "aggregate",
    [lambda a, b: math.exp(-a / b), lambda a, b: -a / b / math.log(2), lambda a, b: a / b],
    ids=["word_perplexity", "bits_per_byte", "weighted_mean"],
)
def test_pairs_are_aggregated_as_lm_eval_does(aggregate) -> None:  # noqa: ANN001
    draw = np.random.default_rng(1)
    words = draw.integers(5, 50, size=200).astype(float)
    logs = -words * draw.uniform(1.0, 3.0, size=200)
    recorded = aggregate(logs.sum(), words.sum())
    found = contributions(np.column_stack([logs, words]).tolist(), recorded)
    assert found is not None
    assert found.mean() == pytest.approx(recorded)
    ratio = logs.sum() / words.sum()
    step = 1e-6
    slope = (aggregate(ratio + step, 1.0) - aggregate(ratio - step, 1.0)) / (2 * step)
    by_hand = abs(slope) * np.std((logs - ratio * words) / words.mean(), ddof=1)
    assert found.std(ddof=1) == pytest.approx(by_hand, rel=2e-2)


@pytest.mark.parametrize(
    ("values", "recorded"),
    [
        ([0.0, 1.0], 0.7),
        ([], 0.0),
        ([1.0, math.nan], 1.0),
        ([[1.0, 2.0, 3.0]], 2.0),
        (["a", "b"], 0.5),
        ([[1, 0]], 1.0),
    ],
)
def test_what_does_not_explain_the_metric_gives_no_interval(values: list, recorded: float) -> None:
    assert contributions(values, recorded) is None


@pytest.mark.parametrize(
    ("recorded", "weights"),
    [(0.5, {"one": 2 / 3, "two": 1 / 3}), (0.375, {"one": 0.5, "two": 0.5}), (0.9, None)],
    ids=["by size", "evenly", "neither"],
)
def test_the_weights_of_a_task_group_are_those_that_give_its_score(
    recorded: float, weights: dict[str, float] | None
) -> None:
    found = group_weights(recorded, {"one": 0.75, "two": 0.0}, {"one": 4, "two": 2, "other": 7})
    assert found == (None if weights is None else pytest.approx(weights))
    assert group_weights(recorded, {}, {}) is None
