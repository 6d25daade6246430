"""M2N2 by hand: what items give, who attracts whom, what a child is and who leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evomerge import executors
from evomerge.errors import InputError
from evomerge.evaluation import Job, Objective, Outcome, Response
from evomerge.genome import gene_places
from evomerge.search import run
from evomerge.search.searchers import Observation, Problem, Proposal, SearcherSettings, make
from evomerge.search.searchers._shared.initial_population import generator
from evomerge.search.searchers.m2n2 import attraction, crossed, shared
from evomerge.store import RunStore
from tests.search.allocation.watching import watched
from tests.search.analytic import SOUTH, Analytic, means, plan, space
from tests.search.sessions import search

STARTS = np.array([[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [0.4, 0.4, 0.4, 0.4]])
RIGHT = np.array([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 1.0, 0.0]])


def told(proposals: list[Proposal], scores: np.ndarray, missed: float = 0.0) -> list[Observation]:
    pairs = zip(proposals, scores, strict=True)
    return [Observation(p.id, np.array([-s.mean()]), np.array([missed]), scores=s) for p, s in pairs]


def test_an_item_that_few_members_solve_gives_each_of_them_more() -> None:
    """Three solve the first item, two the others, nobody the last."""
    found = shared(RIGHT, 1.0)
    assert found == pytest.approx(np.array([[1 / 3, 1 / 2, 0, 0], [1 / 3, 0, 1 / 2, 0], [1 / 3, 1 / 2, 1 / 2, 0]]))
    assert found.sum(axis=1) == pytest.approx([5 / 6, 5 / 6, 4 / 3])
    assert shared(RIGHT, 0.0).tolist() == RIGHT.tolist(), "without sharing scores as they are"
    assert shared(RIGHT, 2.0)[0] == pytest.approx([1 / 9, 1 / 4, 0, 0])


def test_who_solves_what_the_first_parent_does_not_attracts_it() -> None:
    resources = shared(RIGHT, 1.0)
    assert attraction(resources, 0) == pytest.approx([0.0, 1 / 2, 1 / 2])
    assert attraction(resources, 2) == pytest.approx([0.0, 0.0, 0.0])


def test_a_child_has_one_mixture_before_the_split_point_and_the_opposite_one_after_it() -> None:
    places = np.array([0.0, 0.3, 0.7, 1.0])
    child = crossed(np.zeros(4), np.ones(4), places, 0.5, 0.2)
    assert child.tolist() == pytest.approx([0.2, 0.2, 0.8, 0.8])


def test_a_step_worked_by_hand() -> None:
    """Parents, mixture and split point are the draws of the searcher's generator, in the order of the paper."""
    places = np.array([0.0, 0.3, 0.7, 1.0])
    searcher = make("m2n2", Problem(4, 1, 1, STARTS, places=places), SearcherSettings(5, 3))
    first = searcher.ask()
    assert [p.x.tolist() for p in first] == STARTS.tolist(), "the starts alone"
    searcher.tell(told(first, RIGHT))
    random, resources = generator(3, "m2n2"), shared(RIGHT, 1.0)
    fitness, pairs = resources.sum(axis=1), []
    for _ in range(5):
        one = int(random.choice(3, p=fitness / fitness.sum()))
        pull = attraction(resources, one)
        if pull.any():
            pairs.append((one, int(random.choice(3, p=pull / pull.sum()))))
        else:  # nobody has what it lacks: any other
            pairs.append((one, [k for k in range(3) if k != one][int(random.integers(2))]))
    for child, (one, other) in zip(searcher.ask(), pairs, strict=True):
        mix, split = random.random(2)
        share = np.where(places < split, mix, 1 - mix)
        assert np.allclose(child.x, (1 - share) * STARTS[one] + share * STARTS[other], atol=1e-12)
        assert set(child.parents) == {f"1.{one}", f"1.{other}"}


def test_the_member_with_the_least_fitness_leaves_and_whoever_misses_a_constraint_before_it() -> None:
    searcher = make("m2n2", Problem(4, 1, 1, STARTS), SearcherSettings(5, 0, {"archive": 3}))
    searcher.tell(told(searcher.ask(), RIGHT))
    batch = searcher.ask()
    lone = np.array([[0.0, 0.0, 0.0, 1.0]] + [[1.0, 0.0, 0.0, 0.0]] * 4)
    searcher.tell(told(batch, lone))
    assert searcher.ids == ["1.0", "1.2", "2.0"], "it alone solves the last item; of 1.0 and 1.1, equals, the last left"
    later = searcher.ask()
    searcher.tell(told(later, np.ones((5, 4)), missed=1.0))
    assert searcher.ids == ["1.0", "1.2", "2.0"]


def test_scores_of_other_items_or_none_are_refused() -> None:
    searcher = make("m2n2", Problem(4, 1, 1, STARTS), SearcherSettings())
    proposals = searcher.ask()
    for scores in ([None] * 3, [np.ones(4), np.ones(4), np.ones(5)]):
        with pytest.raises(RuntimeError, match="must be told the scores of the same items"):
            searcher.tell(
                [Observation(p.id, np.zeros(1), np.zeros(1), scores=s) for p, s in zip(proposals, scores, strict=True)]
            )
    searcher.tell(told(proposals, RIGHT))


def test_genes_have_the_places_of_their_groups() -> None:
    assert gene_places(space("model")).tolist() == [0.5, 0.5]
    layers = [int(label.split("layer ")[1].split()[0]) for label in space("layer").labels]
    assert gene_places(space("layer")) == pytest.approx(np.array(layers) / 3)


def test_in_a_search_scores_are_the_answers_to_the_items_of_the_objective(tmp_path: Path) -> None:
    work, made = watched(plan("m2n2", evaluations=16))
    search(tmp_path, work)
    store = RunStore.read(tmp_path)
    found = {(e.batch, e.index): e for e in store.evaluations("search")}
    for number, (asked, _, batch) in enumerate(made[0].batches, 1):
        for index, id in enumerate(asked):
            if (evaluation := found.get((number, index))) is not None:
                answers = [r.metrics["acc"] for r in store.responses(evaluation) if r.task == "north"]
                assert batch[id].scores.tolist() == answers
                assert batch[id].scores.mean() == pytest.approx(-batch[id].F[0])


def test_an_objective_without_such_scores_is_refused_once_baselines_are_scored(tmp_path: Path) -> None:
    beside = Objective("sum", ((0.5, "north.acc"), (0.5, "west.acc")), True)
    negative = Objective("offset", ((1.0, "north.acc"),), True)
    cases = ((SOUTH, "less of it"), (beside, "west has no items of its own"), (negative, "some item has another score"))
    for number, (objective, why) in enumerate(cases):
        work = replace(plan("m2n2"), objectives=(objective,), aggregate=with_west)
        executor = executors.make("local", Below if objective is negative else Analytic)
        with (
            RunStore.open(tmp_path / str(number), {}, {}) as store,
            pytest.raises(InputError, match=rf"needs scores of single items, 0 or more .*{why}"),
        ):
            run(work, executor, store)
        assert not [e for e in RunStore.read(tmp_path / str(number)).evaluations("search") if e.batch], "no candidate"


def with_west(responses: Sequence[Response]) -> dict[str, float]:
    """A group of the one task."""
    found = dict(means(responses))
    return found | {"west.acc": found["north.acc"]}


class Below(Analytic):
    """Its accuracies are less than 0."""

    def __call__(self, job: Job) -> Outcome:
        """Answers as the others do, less one."""
        outcome = super().__call__(job)
        return replace(
            outcome,
            responses=tuple(
                replace(one, metrics={key: value - 1.0 for key, value in one.metrics.items()})
                for one in outcome.responses
            ),
        )
