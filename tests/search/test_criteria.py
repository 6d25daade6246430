"""The values a searcher is told: signs, constraints, and numbers for failures."""

from __future__ import annotations

import pytest

from evomerge.errors import InputError
from evomerge.evaluation import Ask, Constraint, Evaluation, Failure, Objective
from evomerge.search.criteria import Criteria

ACCURACY = Objective("accuracy", ((0.5, "a.acc"), (0.5, "b.acc")), True)
LOSS = Objective("loss", ((1.0, "a.loss"),), False)


def scored(name: str | None = None, **metrics: float) -> Evaluation:
    return Evaluation(
        "d", {}, Ask("search", 1, 0), name=name, metrics={k.replace("_", "."): v for k, v in metrics.items()}
    )


def failed(name: str | None = None) -> Evaluation:
    return Evaluation("d", {}, Ask("search", 1, 0), name=name, error=Failure("nonfinite", "weight of layer 3 is nan"))


BASELINES = {
    "base": scored(a_acc=0.5, b_acc=0.5, a_loss=2.0),
    "expert:a": scored(a_acc=0.8, b_acc=0.3, a_loss=1.0),
    "expert:b": scored(a_acc=0.4, b_acc=0.9, a_loss=3.0),
}


def test_signs_flip_here() -> None:
    criteria = Criteria((ACCURACY, LOSS), (), BASELINES)
    F, G = criteria.columns([scored(a_acc=0.4, b_acc=0.8, a_loss=1.5)])
    assert F.tolist() == [[pytest.approx(-0.6), 1.5]]
    assert G.tolist() == [[0.0]]


def test_constraints_absolute_and_relative() -> None:
    constraints = (
        Constraint("a.acc >= 0.45", "a.acc", ">=", 0.45),
        Constraint("a.acc >= base - 0.01", "a.acc", ">=", -0.01, "base"),
        Constraint("b.acc >= best_expert - 0.01", "b.acc", ">=", -0.01, "best_expert"),
        Constraint("a.loss <= best_expert + 0.5", "a.loss", "<=", 0.5, "best_expert"),
    )
    criteria = Criteria((LOSS,), constraints, BASELINES)
    _, G = criteria.columns([scored(a_acc=0.49, b_acc=0.85, a_loss=1.25), scored(a_acc=0.4, b_acc=0.9, a_loss=2.0)])
    assert G[0] == pytest.approx([-0.04, 0.0, 0.04, -0.25, 0.0])
    assert G[1] == pytest.approx([0.05, 0.09, -0.01, 0.5, 0.0])
    assert G[0, 1] == 0.0, "0.5 - 0.01 is met by 0.49, whatever binary fractions say"


def test_failures_are_worse_than_all_that_was_seen() -> None:
    limit = Constraint("a.acc >= 0.9", "a.acc", ">=", 0.9)
    criteria = Criteria((ACCURACY, LOSS), (limit,), BASELINES)
    good, bad = scored(a_acc=0.9, b_acc=0.7, a_loss=1.0), scored(a_acc=0.2, b_acc=0.2, a_loss=5.0)
    F, G = criteria.columns([failed(), good, bad])
    assert (F[0] > F[1:].max(axis=0)).all()
    assert F[0] == pytest.approx([-0.2 + 0.6, 5.0 + 4.0])
    assert G[0].tolist() == [0.0, pytest.approx(0.7 + 1.0)], "beyond the largest violation"
    F, G = criteria.columns([failed()])
    assert F[0] == pytest.approx([0.4, 9.0]), "what was seen stays seen"


def test_nothing_but_failures_is_still_finite() -> None:
    criteria = Criteria((ACCURACY, LOSS), (), {})
    F, G = criteria.columns([failed(), failed()])
    assert F.tolist() == [[1.0, 1.0]] * 2
    assert G.tolist() == [[1.0]] * 2


def test_numbers_for_failures_depend_on_the_records_alone() -> None:
    batches = [[scored(a_acc=0.1 * i, b_acc=0.2, a_loss=1.0 + i), failed()] for i in range(4)]
    tellings = []
    for _ in range(2):
        criteria = Criteria((ACCURACY, LOSS), (), BASELINES)
        tellings.append([[column.tolist() for column in criteria.columns(batch)] for batch in batches])
    assert tellings[0] == tellings[1]


@pytest.mark.parametrize("relative", ["base", "best_expert"])
def test_a_constraint_needs_what_it_is_relative_to(relative: str) -> None:
    constraint = Constraint(f"a.acc >= {relative}", "a.acc", ">=", 0.0, relative)
    with pytest.raises(InputError, match=f"relative to {relative}, but there is no such baseline"):
        Criteria((LOSS,), (constraint,), {})
    broken = {"base": failed("base"), "expert:a": failed("expert:a")}
    with pytest.raises(InputError, match=r"could not be scored .*: nonfinite: weight of layer 3 is nan"):
        Criteria((LOSS,), (constraint,), broken)


def test_a_failed_expert_does_not_hide_the_other() -> None:
    constraint = Constraint("a.acc >= best_expert", "a.acc", ">=", 0.0, "best_expert")
    criteria = Criteria((LOSS,), (constraint,), {**BASELINES, "expert:a": failed()})
    assert criteria.violations(scored(a_acc=0.4, a_loss=1.0)).tolist() == [0.0]


def test_a_metric_that_is_not_recorded_is_named() -> None:
    with pytest.raises(InputError) as caught:
        Criteria((Objective("x", ((1.0, "a.f1"),)),), (Constraint("a.f2 >= 0", "a.f2", ">=", 0.0),), BASELINES)
    assert caught.value.problems == (
        "'x' needs the metric a.f1, which was not recorded; recorded are a.acc, a.loss, b.acc",
        "'a.f2 >= 0' needs the metric a.f2, which was not recorded; recorded are a.acc, a.loss, b.acc",
    )


def test_the_nearest_miss_is_the_smallest_sum_of_violations() -> None:
    constraints = (Constraint("high a", "a.acc", ">=", 0.9), Constraint("low loss", "a.loss", "<=", 3.0))
    criteria = Criteria((ACCURACY,), constraints, BASELINES)
    near = scored(a_acc=0.7, b_acc=0.0, a_loss=2.0)
    assert criteria.nearest([failed(), scored(a_acc=0.9, b_acc=1.0, a_loss=4.0), near]) == (
        near,
        {"high a": pytest.approx(0.2)},
    )
    assert criteria.nearest([failed()]) is None
