"""Contributions of items, comparisons, and the correction for many of them, against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evomerge.evaluation import Ask, Evaluation, Objective, Response
from evomerge.report.contributions import contributions
from evomerge.report.sheets import difference, holm, p_value, sheet


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


def scored(
    values: dict[str, list[float]], metrics: dict[str, float] | None = None
) -> tuple[Evaluation, list[Response]]:
    answers = [
        Response(task, f"{n:03d}", {"acc": value}) for task, column in values.items() for n, value in enumerate(column)
    ]
    means = {f"{task}.acc": float(np.mean(column)) for task, column in values.items()}
    return Evaluation("d", {}, Ask("test", 1, 0), metrics=means | (metrics or {}), items=len(answers)), answers


def test_a_task_group_is_explained_by_its_tasks() -> None:
    values = {"g_one": [1.0, 0.0, 1.0, 1.0], "g_two": [0.0, 0.0], "other": [1.0, 1.0]}
    goal = (Objective("g.acc", ((1.0, "g.acc"),), True),)
    by_size = sheet(*scored(values, {"g.acc": 0.5}), goal)
    evenly = sheet(*scored(values, {"g.acc": 0.375}), goal)
    unknown = sheet(*scored(values, {"g.acc": 0.9}), goal)
    assert by_size is not None
    assert evenly is not None
    assert unknown is not None
    assert {p.task: p.weight for p in by_size.parts["g.acc"] or ()} == pytest.approx({"g_one": 2 / 3, "g_two": 1 / 3})
    assert {p.task: p.weight for p in evenly.parts["g.acc"] or ()} == {"g_one": 0.5, "g_two": 0.5}
    assert by_size.interval("g.acc").mean == pytest.approx(0.5)
    assert unknown.parts["g.acc"] is None
    assert unknown.interval("g.acc").mean == 0.9
    assert math.isinf(unknown.interval("g.acc").high)


def test_a_python_objective_has_a_score_but_no_interval_and_no_comparison() -> None:
    goal = (Objective("python.short", ((1.0, "python.short"),), True),)
    found = sheet(*scored({"t": [1.0, 0.0]}, {"python.short": 3.5}), goal)
    assert found is not None
    assert found.values["python.short"] == 3.5
    assert found.interval("python.short").to_json() == {"mean": 3.5, "se": None, "low": None, "high": None}
    assert difference(found, found, "python.short") is None
    assert p_value(found, found, "python.short") is None


def test_models_asked_other_items_are_not_compared() -> None:
    goal = (Objective("t.acc", ((1.0, "t.acc"),), True),)
    one, other = sheet(*scored({"t": [1.0, 0.0, 1.0]}), goal), sheet(*scored({"t": [1.0, 0.0]}), goal)
    assert one is not None
    assert other is not None
    assert difference(one, other, "t.acc") is None


def test_two_metrics_of_the_same_items_are_added_item_by_item() -> None:
    draw = np.random.default_rng(2)
    right = (draw.random(50) < 0.5).astype(float)
    answers = [Response("t", f"{n:03d}", {"acc": v, "prob": 0.2 + 0.6 * v}) for n, v in enumerate(right)]
    metrics = {"t.acc": float(right.mean()), "t.prob": float(0.2 + 0.6 * right.mean())}
    goal = (Objective("mix", ((0.5, "t.acc"), (0.5, "t.prob")), True),)
    found = sheet(Evaluation("d", {}, Ask("test", 1, 0), metrics=metrics, items=50), answers, goal)
    assert found is not None
    by_hand = np.std(0.5 * right + 0.5 * (0.2 + 0.6 * right), ddof=1) / math.sqrt(50)
    assert found.interval("mix").se == pytest.approx(by_hand)  # as independent samples it would be smaller


def test_models_that_agree_everywhere_differ_by_nothing_with_a_width() -> None:
    goal = (Objective("t.acc", ((1.0, "t.acc"),), True),)
    one = sheet(*scored({"t": [1.0, 0.0, 1.0, 1.0]}), goal)
    assert one is not None
    found = difference(one, one, "t.acc")
    assert found is not None
    assert found.low < 0.0 == found.mean < found.high
    assert p_value(one, one, "t.acc") == pytest.approx(1.0)


def test_differences_that_are_all_the_same_have_no_p_value() -> None:
    goal = (Objective("t.acc", ((1.0, "t.acc"),), True),)
    one, other = sheet(*scored({"t": [0.5, 0.25, 0.75]}), goal), sheet(*scored({"t": [0.375, 0.125, 0.625]}), goal)
    assert one is not None
    assert other is not None
    found = difference(one, other, "t.acc")
    assert found is not None
    assert found.to_json() == {"mean": 0.125, "se": None, "low": None, "high": None}
    assert p_value(one, other, "t.acc") is None


def test_holm_on_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
