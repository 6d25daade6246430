"""Scores over several tasks, their differences and p-values, against values worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from evomerge.analysis import Stratum, common_strata, holm, stratified_difference, stratified_p_value, stratified_score
from evomerge.analysis.intervals import Interval, interval
from evomerge.analysis.significance import p_value


def stratum(values: Sequence[float], weight: float = 1.0, task: str = "t") -> Stratum:
    return Stratum(task, tuple(f"{n:03d}" for n in range(len(values))), np.array(values), weight)


def test_tasks_are_independent_samples() -> None:
    draw = np.random.default_rng(0)
    one, two = draw.normal(size=30), draw.normal(size=50)
    found = stratified_score([stratum(one, 0.25, "one"), stratum(two, 0.75, "two")])
    assert found.mean == pytest.approx(0.25 * one.mean() + 0.75 * two.mean())
    by_hand = (0.25 * one.std(ddof=1)) ** 2 / 30 + (0.75 * two.std(ddof=1)) ** 2 / 50
    assert found.se == pytest.approx(math.sqrt(by_hand))
    assert stratified_score([stratum([1.0, 0.0, 1.0])]) == interval([1.0, 0.0, 1.0], binary=True)


def test_models_asked_other_items_are_not_compared() -> None:
    one, other = [stratum([1.0, 0.0, 1.0])], [stratum([1.0, 0.0])]
    assert stratified_difference(one, other) is None
    assert stratified_p_value(one, other) is None
    assert stratified_difference(one, [stratum([1.0, 0.0, 1.0], task="other")]) is None
    assert stratified_difference([], []) is None
    assert stratified_p_value([], []) is None


def test_models_that_agree_everywhere_differ_by_nothing_with_a_width() -> None:
    one = [stratum([1.0, 0.0, 1.0, 1.0])]
    found = stratified_difference(one, one)
    assert found is not None
    assert found.low < 0.0 == found.mean < found.high
    assert stratified_p_value(one, one) == pytest.approx(1.0)


def test_differences_that_are_all_the_same_have_no_p_value() -> None:
    one, other = [stratum([0.5, 0.25, 0.75])], [stratum([0.375, 0.125, 0.625])]
    found = stratified_difference(one, other)
    assert found is not None
    assert found.to_json() == {"mean": 0.125, "se": None, "low": None, "high": None}
    assert stratified_p_value(one, other) is None


def test_the_p_value_of_right_and_wrong_answers_is_mcnemars() -> None:
    one, other = [stratum([1.0] * 40 + [0.0] * 60)], [stratum([1.0] * 25 + [0.0] * 60 + [1.0] * 5 + [0.0] * 10)]
    p = math.erfc(abs(15 - 5) / math.sqrt(15 + 5) / math.sqrt(2))
    assert stratified_p_value(one, other) == pytest.approx(p, rel=1e-3)


def test_a_p_value_is_one_minus_the_confidence_at_which_the_interval_reaches_zero() -> None:
    def linear(confidence: float) -> Interval:
        return Interval(1.0, 0.5, 1.0 - confidence / 0.8, 1.0 + confidence / 0.8)

    assert p_value(linear) == pytest.approx(0.2, abs=1e-6)
    assert p_value(lambda confidence: Interval(1.0, math.inf, -math.inf, math.inf)) is None


def test_holm_on_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_common_items_of_models_that_were_asked_prefixes() -> None:
    long = Stratum(
        "t", ("a", "b", "c"), np.array([1.0, 0.0, 1.0]), 0.5, ("x", "x", "y"), np.array([True, False, False])
    )
    short = Stratum("t", ("b", "c"), np.array([1.0, 1.0]), 0.5, ("x", "y"))
    (first, again), (second, _) = common_strata([(long, stratum([1.0], task="u")), (short, stratum([0.0], task="u"))])
    assert (first.items, first.values.tolist(), first.clusters) == (("b", "c"), [0.0, 1.0], ("x", "y"))
    assert first.truncated is not None
    assert (first.weight, first.truncated.tolist()) == (0.5, [False, False])
    assert second is short
    assert again.task == "u"
    assert common_strata([(long, stratum([1.0], task="u")), (stratum([0.0], task="u"),)])[0][0].task == "u"
    assert common_strata([(long,), (stratum([0.0], task="u"),)]) == [(), ()]
    assert common_strata([(long,), (stratum([0.0], task="t"),)]) == [(), ()], "no item is common"
