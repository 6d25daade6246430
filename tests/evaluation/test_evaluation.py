"""Objectives and constraints in natural units, records both ways through JSON."""

from __future__ import annotations

import json

import pytest

from evomerge.evaluation import Constraint, Evaluation, Failure, Objective, Response, ResponseRef


def test_a_weighted_objective_sums_its_terms() -> None:
    objective = Objective("0.25*a.acc+0.75*b.acc", ((0.25, "a.acc"), (0.75, "b.acc")))
    assert objective.value({"a.acc": 0.4, "b.acc": 0.8, "c.acc": 9.0}) == pytest.approx(0.7)
    with pytest.raises(KeyError):
        objective.value({"a.acc": 0.4})
    assert Objective.from_json(json.loads(json.dumps(objective.to_json()))) == objective


@pytest.mark.parametrize(
    ("sense", "bound", "reference", "score", "met"),
    [(">=", 0.5, 0.0, 0.5, True), (">=", 0.5, 0.0, 0.49, False), (">=", -0.01, 0.6, 0.595, True),
     (">=", -0.01, 0.6, 0.58, False), ("<=", 10.0, 0.0, 9.0, True), ("<=", 0.5, 9.0, 9.6, False)],
)  # fmt: skip
def test_constraints(sense: str, bound: float, reference: float, score: float, met: bool) -> None:
    constraint = Constraint("c", "t.acc", sense, bound, "base" if reference else None)
    assert (constraint.violation({"t.acc": score}, reference) <= 1e-12) is met
    assert Constraint.from_json(constraint.to_json()) == constraint


def test_records_round_trip() -> None:
    scored = Evaluation(
        "d", {"method": "ties"}, "test", 3, 1, "base", {"t.acc": 0.5}, None, {"merge": 0.1}, 4, ResponseRef("f", 0, 9)
    )
    failed = Evaluation("e", {}, "search", 1, 0, error=Failure("nonfinite", "tensor x"))
    for one in (scored, failed):
        assert Evaluation.from_json(json.loads(json.dumps(one.to_json()))) == one
    response = Response("t", "i", {"acc": 1.0}, (-0.5,), (True,), ("text",), True)
    assert Response.from_json(json.loads(json.dumps(response.to_json()))) == response


def test_failures_are_of_a_known_kind() -> None:
    with pytest.raises(ValueError, match="unknown failure kind"):
        Failure("sad", "…")
