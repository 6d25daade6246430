"""The choice of finalists."""

import numpy as np

from evomerge.evaluation import Ask, Constraint, Evaluation, Failure, Objective
from evomerge.search.criteria import Criteria
from evomerge.search.promotion.shortlist import choose, finalists, shortlist

FRONT = np.array([[0.0, 1.0], [0.05, 0.9], [0.1, 0.3], [0.15, 0.29], [0.5, 0.2], [0.6, 0.15], [1.0, 0.0]])


def test_a_small_front_is_taken_whole() -> None:
    assert choose(FRONT, 7) == list(range(7))
    assert choose(FRONT, 99) == list(range(7))
    assert choose(np.zeros((0, 2)), 3) == []
    assert choose(FRONT, 0) == []


def test_knee_first_then_extremes_then_spread() -> None:
    assert choose(FRONT, 1) == [2]
    assert choose(FRONT, 2) == [0, 2]
    assert choose(FRONT, 3) == [0, 2, 6]
    assert choose(FRONT, 4) == [0, 2, 4, 6] or choose(FRONT, 4) == [0, 2, 5, 6]


def test_equal_members_take_no_place_of_others() -> None:
    twins = np.repeat(FRONT, 2, axis=0)
    chosen = twins[choose(twins, 4)]
    assert len(np.unique(chosen, axis=0)) == 4


def scored(index: int, acc: float, loss: float, other: float = 1.0) -> Evaluation:
    return Evaluation("d", {}, Ask("search", 1, index), metrics={"a.acc": acc, "b.acc": other, "a.loss": loss})


CANDIDATES = [
    scored(0, 0.2, 0.9),  # third layer
    scored(1, 0.9, 0.5),  # front
    scored(2, 0.8, 0.6),  # second layer
    scored(3, 1.0, 0.0, other=0.1),  # best, and infeasible
    scored(4, 0.5, 0.1),  # front
    Evaluation("d", {}, Ask("search", 1, 5), error=Failure("oom", "none")),
    scored(6, 0.4, 0.2),  # second layer
]
CRITERIA = Criteria(
    (Objective("a.acc", ((1.0, "a.acc"),), True), Objective("a.loss", ((1.0, "a.loss"),), False)),
    (Constraint("b.acc >= 0.5", "b.acc", ">=", 0.5),),
    {},
)


def indices(chosen: list[Evaluation]) -> list[int]:
    return [evaluation.index for evaluation in chosen]


def test_a_shortlist_takes_layer_after_layer() -> None:
    assert [indices(shortlist(CRITERIA, CANDIDATES, limit)) for limit in (0, 2, 4, 99)] == [
        [], [1, 4], [1, 2, 4, 6], [0, 1, 2, 4, 6],
    ]  # fmt: skip
    assert len(indices(shortlist(CRITERIA, CANDIDATES, 3))) == 3
    assert set(indices(shortlist(CRITERIA, CANDIDATES, 3))) > {1, 4}


def test_with_one_objective_a_shortlist_is_the_best_in_order() -> None:
    single = Criteria(CRITERIA.objectives[:1], CRITERIA.constraints, {})
    assert [indices(shortlist(single, CANDIDATES, limit)) for limit in (1, 2, 3)] == [[1], [1, 2], [1, 2, 4]]


def test_finalists_are_on_the_front() -> None:
    assert indices(finalists(CRITERIA, CANDIDATES, 8)) == [1, 4]
    assert len(finalists(CRITERIA, CANDIDATES, 1)) == 1
    assert finalists(CRITERIA, CANDIDATES, 0) == []
    assert finalists(CRITERIA, [], 8) == []
    assert finalists(CRITERIA, CANDIDATES[5:6], 8) == [], "nothing but failures"


def test_where_nothing_is_feasible_the_nearest_are_finalists() -> None:
    missing = [scored(0, 0.9, 0.1, other=0.2), scored(1, 0.1, 0.9, other=0.4), CANDIDATES[5], scored(2, 0.5, 0.5, 0.3)]
    assert indices(finalists(CRITERIA, missing, 2)) == [1, 2]
    assert indices(finalists(CRITERIA, missing, 9)) == [0, 1, 2]
