"""Objectives and constraints as people write them."""

from __future__ import annotations

import pytest

from evomerge.config.value_types import metric_texts
from evomerge.errors import InputError
from evomerge.evaluation import Measure
from evomerge.evaluation.grammar import (
    default_objectives,
    read_constraints,
    read_measures,
    read_objectives,
    safety_constraints,
)

METRICS = {
    "sort.acc": True,
    "sort.perplexity": False,
    "reverse_b.acc": True,
    "gsm8k.exact_match,strict-match": True,
    "gsm8k.exact_match,flexible-extract": True,
    "qa.f1,custom": True,
}


def test_one_metric_in_its_natural_direction() -> None:
    up, down = read_objectives(["sort.acc", "sort.perplexity"], METRICS)
    assert up.higher_is_better
    assert not down.higher_is_better
    assert up.terms == ((1.0, "sort.acc"),)


@pytest.mark.parametrize(
    "text", ["0.7*sort.acc + 0.3*reverse_b.acc", "0.7*sort.acc+0.3*reverse_b.acc", ".7 * sort.acc + .3 * reverse_b.acc"]
)
def test_weighted_sums(text: str) -> None:
    (objective,) = read_objectives([text], METRICS)
    assert objective.terms == ((0.7, "sort.acc"), (0.3, "reverse_b.acc"))


def test_opposite_directions_need_a_sign() -> None:
    with pytest.raises(InputError, match="opposite directions"):
        read_objectives(["sort.acc + sort.perplexity"], METRICS)
    (objective,) = read_objectives(["sort.acc + -0.01*sort.perplexity"], METRICS)
    assert objective.higher_is_better
    assert objective.terms[1] == (-0.01, "sort.perplexity")
    (falling,) = read_objectives(["-1*sort.acc"], METRICS)
    assert not falling.higher_is_better


def test_filters_may_be_left_out_where_there_is_one() -> None:
    (objective,) = read_objectives(["1e+2*qa.f1"], METRICS)
    assert objective.terms == ((100.0, "qa.f1,custom"),)
    with pytest.raises(InputError, match=r"several filters.*flexible-extract"):
        read_objectives(["gsm8k.exact_match"], METRICS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sort.ac", "did you mean 'acc'"),
        ("sotr.acc", "did you mean 'sort'"),
        ("reverse-b.acc", "did you mean 'reverse_b'"),
        ("sort.perplexty", "did you mean 'perplexity'"),
        ("acc", "names no task"),
        ("sort.acc * 2", "not a metric key or WEIGHT\\*KEY$"),
        ("sort.acc - 0.1*sort.perplexity", "to subtract, add a negative weight"),
        ("0*sort.acc", "weight 0"),
        ("1e999*sort.acc", "1e999 is too large"),
    ],
)
def test_typos_are_answered_with_what_was_meant(text: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        read_objectives([text], METRICS)


def test_all_problems_come_at_once() -> None:
    with pytest.raises(InputError) as caught:
        read_objectives(["sort.ac", "sotr.acc", "sort.acc", "sort.acc"], METRICS)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("text", "bound", "relative"),
    [
        ("sort.acc >= 0.5", 0.5, None),
        ("sort.acc>=base-0.01", -0.01, "base"),
        ("sort.acc >= best_expert + 2e-2", 0.02, "best_expert"),
        ("sort.perplexity <= base", 0.0, "base"),
    ],
)
def test_constraints(text: str, bound: float, relative: str | None) -> None:
    (constraint,) = read_constraints([text], METRICS)
    assert (constraint.bound, constraint.relative_to) == (bound, relative)


def test_what_a_comma_joined_in_vain_is_reported_alone() -> None:
    joined = metric_texts().read(["sort.acc >= 0.5", "bogus"])
    with pytest.raises(InputError) as caught:
        read_constraints(joined, METRICS)
    assert [problem.split(" cannot")[0] for problem in caught.value.problems] == ["constraint 'bogus'"]
    with pytest.raises(InputError) as caught:
        read_objectives(metric_texts().read(["sort.acc", "bogus"]), METRICS)
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["objective 'bogus'"]
    kept = metric_texts().read(["gsm8k.exact_match", "strict-match >= 0.5", "sort.acc >= 0.5"])
    assert [c.metric for c in read_constraints(kept, METRICS)] == ["gsm8k.exact_match,strict-match", "sort.acc"]


def test_all_stands_for_every_task() -> None:
    found = read_constraints(["all.acc >= base - 0.01"], METRICS)
    assert [c.metric for c in found] == ["sort.acc", "reverse_b.acc"]
    assert found[0].label == "sort.acc >= base - 0.01"


@pytest.mark.parametrize(
    "text",
    [
        "sort.acc > 0.5",
        "sort.acc >= best",
        "sort.acc",
        "sort.accc >= 0.5",
        "all.ac >= base",
        "sort.acc >= -1e999",
        "sort.acc <= base + 1e999",
    ],
)
def test_unreadable_constraints(text: str) -> None:
    with pytest.raises(InputError):
        read_constraints([text], METRICS)


def test_default_objectives_take_accuracy_where_there_is_one() -> None:
    assert default_objectives(METRICS, ["sort", "gsm8k", "qa"]) == [
        "sort.acc",
        "gsm8k.exact_match,strict-match",
        "qa.f1,custom",
    ]


def test_safety_is_a_constraint_for_each_task_relative_to_the_base() -> None:
    texts = safety_constraints({"sort": 1.0, "sort.perplexity": 20.0, "gsm8k.exact_match,strict-match": 0.5}, METRICS)
    assert texts == [
        "sort.acc >= base - 0.01",
        "sort.perplexity <= base + 0.2",
        "gsm8k.exact_match,strict-match >= base - 0.005",
    ]
    kept, _, _ = read_constraints(texts, METRICS)
    assert (kept.metric, kept.sense, kept.bound, kept.relative_to) == ("sort.acc", ">=", -0.01, "base")
    assert kept.violation({"sort.acc": 0.89}, 0.90) == 0.0
    assert kept.violation({"sort.acc": 0.88}, 0.90) == pytest.approx(0.01)


def test_safety_of_what_is_not_there_or_has_no_points_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        safety_constraints({"srot": 1.0, "qa": 1.0, "sort.ac": 1.0}, METRICS)
    absent, unclear, metric = caught.value.problems
    assert "there is no task 'srot' in this run; did you mean 'sort'?" in absent
    assert "qa has no accuracy, of which points can be lost; name its metric, qa.METRIC (f1,custom)" in unclear
    assert "task 'sort' has no metric 'ac'" in metric


def test_measures_are_metrics_or_sums_with_a_range_where_one_is_given() -> None:
    metrics = {"a.acc": True, "b.acc": True, "b.loss": False}
    plain, ranged, summed = read_measures(
        ["a.acc", "b.acc  from 0 to .75", "0.5*a.acc + 0.5*b.acc from -1 to 1e0"], metrics
    )
    assert plain == Measure("a.acc", ((1.0, "a.acc"),))
    assert ranged == Measure("b.acc", ((1.0, "b.acc"),), 0.0, 0.75)
    assert summed == Measure("0.5*a.acc + 0.5*b.acc", ((0.5, "a.acc"), (0.5, "b.acc")), -1.0, 1.0)
    assert summed.value({"a.acc": 0.2, "b.acc": 0.6}) == pytest.approx(0.4)
    assert [Measure.from_json(measure.to_json()) for measure in (plain, ranged)] == [plain, ranged]


def test_everything_that_is_wrong_with_measures_is_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        read_measures(["a.ac", "b.acc from 1 to 0", "a.acc", "a.acc from 0 to 1"], {"a.acc": True, "b.acc": True})
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "measure 'a.ac'",
        "measure 'b.acc from 1 to 0'",
        "measure 'a.acc' is given twice",
    ]
