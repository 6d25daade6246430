"""The front of a search: feasible, scored, and the same as if it were computed from all candidates at once."""

from __future__ import annotations

import numpy as np
import pytest

from evomerge.analysis.pareto import non_dominated
from evomerge.evaluation import Ask, Constraint, Evaluation, Failure, Objective
from evomerge.search.criteria import Criteria
from evomerge.search.front import Front
from tests.search.test_criteria import ACCURACY, BASELINES, LOSS, failed, scored


def test_the_front_is_feasible_and_scored() -> None:
    limit = Constraint("b.acc >= base", "b.acc", ">=", 0.0, "base")
    front = Front(Criteria((ACCURACY, LOSS), (limit,), BASELINES))
    assert (front.members(), front.best(), len(front)) == ([], {}, 0)
    best_but_infeasible = scored(a_acc=1.0, b_acc=0.4, a_loss=0.1)
    one, two = scored(a_acc=0.8, b_acc=0.5, a_loss=2.0), scored(a_acc=0.7, b_acc=0.5, a_loss=1.0)
    dominated = scored(a_acc=0.7, b_acc=0.5, a_loss=2.5)
    assert [front.add(e) for e in (best_but_infeasible, failed(), one, dominated, two)] == [
        False, False, True, False, True,
    ]  # fmt: skip
    assert front.members() == [one, two]
    assert front.best() == {"accuracy": pytest.approx(0.65), "loss": 1.0}
    assert front.failures == 1
    assert not front.extend([failed(), dominated])


def test_members_come_in_the_order_of_the_asks() -> None:
    front = Front(Criteria((LOSS,), (), BASELINES))
    twins = [
        Evaluation("d", {}, Ask("search", b, i), metrics={"a.acc": 0, "b.acc": 0, "a.loss": 1.0})
        for b, i in [(2, 0), (1, 1), (1, 0)]
    ]
    assert [front.add(e) for e in twins] == [True, False, False], "an equal candidate improves nothing"
    assert [(e.batch, e.index) for e in front.members()] == [(1, 0), (1, 1), (2, 0)]


@pytest.mark.parametrize("objectives", [(LOSS,), (ACCURACY, LOSS)], ids=["one", "two"])
def test_random_candidates_with_ties_failures_and_constraints(objectives: tuple[Objective, ...]) -> None:
    limit = Constraint("b.acc >= base", "b.acc", ">=", 0.0, "base")
    criteria = Criteria(objectives, (limit,), BASELINES)
    random = np.random.default_rng(0)
    rows = random.integers(0, 12, (300, 3)) / 11
    candidates = [
        Evaluation("d", {}, Ask("search", 1, i), error=Failure("oom", "none"))
        if random.random() < 0.1
        else Evaluation("d", {}, Ask("search", 1, i), metrics=dict(zip(("a.acc", "b.acc", "a.loss"), row, strict=True)))
        for i, row in enumerate(rows.tolist())
    ]
    front = Front(criteria)
    for count, candidate in enumerate(candidates, start=1):
        feasible = [e for e in candidates[: count - 1] if criteria.feasible(e)]
        earlier = np.array([criteria.minimised(e) for e in feasible]).reshape(-1, len(objectives))
        value = criteria.minimised(candidate) if criteria.feasible(candidate) else None
        wanted = value is not None and not (earlier <= value).all(axis=1).any()
        assert front.add(candidate) == wanted
    feasible = [e for e in candidates if criteria.feasible(e)]
    mask = non_dominated([criteria.minimised(e) for e in feasible])
    assert front.members() == [e for e, keep in zip(feasible, mask, strict=True) if keep]
    for objective in objectives:
        scores = [objective.value(e.metrics) for e in feasible]
        assert front.best()[objective.label] == (max(scores) if objective.higher_is_better else min(scores))
    assert front.failures == sum(e.error is not None for e in candidates)
