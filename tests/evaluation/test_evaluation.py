"""Objectives and constraints in natural units, records both ways through JSON."""

from __future__ import annotations

import json
import pickle

import pytest

from evomerge.evaluation import (
    PYTHON_ITEMS,
    Ask,
    Constraint,
    Evaluation,
    Failure,
    Job,
    JsonText,
    Objective,
    Provenance,
    Response,
    ResponseRef,
    ToldValues,
    item_set_digest,
)
from evomerge.recipe import CheckpointRef, Group, ParameterGroups, Recipe


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
    assert (constraint.violation({"t.acc": score}, reference) <= 0.0) is met
    assert Constraint.from_json(constraint.to_json()) == constraint


def test_a_bound_that_binary_fractions_miss_is_met() -> None:
    constraint = Constraint("c", "t.acc", ">=", 0.1, "base")
    assert 0.1 + 0.2 > 0.3
    assert constraint.violation({"t.acc": 0.3}, 0.2) == 0.0
    assert constraint.violation({"t.acc": 0.3 - 1e-6}, 0.2) == pytest.approx(1e-6)
    constraint = Constraint("c", "t.acc", "<=", 0.1, "base")
    assert 0.1 + 0.7 < 0.8
    assert constraint.violation({"t.acc": 0.8}, 0.7) == 0.0
    assert constraint.violation({"t.acc": 0.8 + 1e-6}, 0.7) == pytest.approx(1e-6)


def test_the_score_that_a_bound_is_relative_to() -> None:
    baselines = {"base": {"a": 0.5}, "expert:x": {"a": 0.7}, "expert:y": {"a": 0.9}, "uniform": {"a": 1.0}, "odd": {}}
    for sense, relative, wanted in (
        (">=", None, 0.0), (">=", "base", 0.5), (">=", "best_expert", 0.9), ("<=", "best_expert", 0.7),
    ):  # fmt: skip
        constraint = Constraint("c", "a", sense, 0.0, relative)
        assert constraint.reference(baselines) == wanted
        assert constraint.reference({}) == (None if relative else 0.0), "a baseline that failed has no score"


def test_records_round_trip() -> None:
    scored = Evaluation(
        "d", {"method": "ties"}, Ask("test", 3, 1, 2), "base", {"t.acc": 0.5}, None, 4, "set", "int4",
        {"t": (0.5, 1.0)}, ("p",), ToldValues((0.5,), (0.0, -1.0), (0.1,)),
    )  # fmt: skip
    failed = Evaluation("e", {}, Ask("search", 1, 0), error=Failure("nonfinite", "tensor x"))
    for one in (scored, failed):
        assert Evaluation.from_json(json.loads(json.dumps(one.to_json())), one.recipe) == one
    response = Response("t", "i", {"acc": 1.0}, (-0.5,), (True,), ("text",), True, (2,), ((7, 8),))
    assert Response.from_json(json.loads(json.dumps(response.to_json()))) == response
    made = Provenance("main", 2, "w", {"merge": 0.1}, "set", ResponseRef("f", 0, 9))
    assert Provenance.from_json(json.loads(json.dumps(made.to_json()))) == made
    assert Provenance.from_json(json.loads(json.dumps(Provenance().to_json()))) == Provenance()


def test_the_id_of_a_job_follows_from_what_is_asked_and_where() -> None:
    recipe = Recipe("linear", {}, (CheckpointRef("a"),), None, ParameterGroups((Group("all"),)), {"weight": [[1.0]]})
    asks = [Ask("search", 1, 0), Ask("search", 1, 0, 1), Ask("search", 11, 0), Ask("test", 1, 0)]
    jobs = [Job.of(recipe, {"t": ("a", "b"), **PYTHON_ITEMS}, ask) for ask in asks]
    jobs.append(Job.of(recipe, {}, asks[0], "int4"))
    assert len({job.id for job in jobs}) == 5
    assert jobs[0] == Job.of(recipe, {"t": ("a", "b"), **PYTHON_ITEMS}, asks[0])
    assert jobs[0].id == f"search-1-0-0-{recipe.digest[:12]}"
    assert (jobs[0].split, jobs[3].split) == ("search", "test")
    assert jobs[0].n_items == 2, "a function of the whole model is no item"


def test_asks_are_ordered_by_split_batch_index_and_rung() -> None:
    asks = [Ask("test", 0, 0), Ask("selection", 1, 0), Ask("search", 9, 0, 1), Ask("search", 9, 0), Ask("search", 2, 0)]
    assert sorted(asks, key=lambda ask: ask.order) == asks[::-1]
    assert str(asks[2]) == "number 0 of batch 9, rung 1 (search)"
    with pytest.raises(ValueError, match="unknown split 'train'; known are search, selection, test"):
        Ask("train", 0, 0)


def test_an_item_set_is_a_set() -> None:
    one = item_set_digest({"t": ("a", "b"), "u": ("c",)})
    assert one == item_set_digest({"u": ["c"], "t": ["b", "a"], "v": ()})
    assert one != item_set_digest({"t": ("a",), "u": ("b", "c")})


def test_json_text_is_the_object_it_is_the_text_of() -> None:
    data = {"b": [1.5, {"c": None}], "a": 'é"},'}
    text = JsonText.of(data)
    assert (text, dict(text), list(text), len(text)) == (data, data, ["b", "a"], 2)
    assert data == text
    assert JsonText.of(text) is text
    assert pickle.loads(pickle.dumps(text)) == text
    assert text != {"b": 1}
    assert {text, JsonText('{"a": "é\\"},", "b": [1.5, {"c": null}]}')} == {text}
    with pytest.raises(ValueError, match="text of an object, got that of a list"):
        len(JsonText("[1]"))


def test_failures_are_of_a_known_kind() -> None:
    with pytest.raises(ValueError, match="unknown failure kind"):
        Failure("sad", "…")
