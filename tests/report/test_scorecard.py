"""Scores of an evaluation, item by item."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evomerge.evaluation import Ask, Evaluation, Objective, Response
from evomerge.report.scorecard import scorecard


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
    by_size = scorecard(*scored(values, {"g.acc": 0.5}), goal)
    evenly = scorecard(*scored(values, {"g.acc": 0.375}), goal)
    unknown = scorecard(*scored(values, {"g.acc": 0.9}), goal)
    assert by_size is not None
    assert evenly is not None
    assert unknown is not None
    assert {p.task: p.weight for p in by_size.strata["g.acc"]} == pytest.approx({"g_one": 2 / 3, "g_two": 1 / 3})
    assert {p.task: p.weight for p in evenly.strata["g.acc"]} == {"g_one": 0.5, "g_two": 0.5}
    assert by_size.interval("g.acc").mean == pytest.approx(0.5)
    assert unknown.strata["g.acc"] == ()
    assert unknown.interval("g.acc").mean == 0.9
    assert math.isinf(unknown.interval("g.acc").high)


def test_a_python_objective_has_a_score_but_no_interval_and_no_comparison() -> None:
    goal = (Objective("python.short", ((1.0, "python.short"),), True),)
    found = scorecard(*scored({"t": [1.0, 0.0]}, {"python.short": 3.5}), goal)
    assert found is not None
    assert found.values["python.short"] == 3.5
    assert found.interval("python.short").to_json() == {"mean": 3.5, "se": None, "low": None, "high": None}
    assert found.strata["python.short"] == ()


def test_two_metrics_of_the_same_items_are_added_item_by_item() -> None:
    draw = np.random.default_rng(2)
    right = (draw.random(50) < 0.5).astype(float)
    answers = [Response("t", f"{n:03d}", {"acc": v, "prob": 0.2 + 0.6 * v}) for n, v in enumerate(right)]
    metrics = {"t.acc": float(right.mean()), "t.prob": float(0.2 + 0.6 * right.mean())}
    goal = (Objective("mix", ((0.5, "t.acc"), (0.5, "t.prob")), True),)
    found = scorecard(Evaluation("d", {}, Ask("test", 1, 0), metrics=metrics, items=50), answers, goal)
    assert found is not None
    by_hand = np.std(0.5 * right + 0.5 * (0.2 + 0.6 * right), ddof=1) / math.sqrt(50)
    assert found.interval("mix").se == pytest.approx(by_hand)  # as independent samples it would be smaller
