"""M2N2 by hand: what items give, who attracts whom, what a child is and who leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evomerge import executors
from evomerge.analysis.diversity.competition import attraction, shared, survivors
from evomerge.contracts._searcher.cases import expert_pool
from evomerge.errors import InputError
from evomerge.evaluation import Job, Objective, Outcome, Response
from evomerge.search import run
from evomerge.search.searchers import (
    ExpertPool,
    ModelSpan,
    Observation,
    Problem,
    Proposal,
    Searcher,
    SearcherSettings,
    make,
)
from evomerge.search.searchers._shared.initial_population import generator
from evomerge.search.searchers._shared.span import angle, slerped
from evomerge.search.searchers.m2n2 import crossed
from evomerge.store import RunStore
from tests.search.allocation.watching import watched
from tests.search.analytic import SOUTH, Analytic, means, plan
from tests.search.sessions import search

RIGHT = np.array([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 1.0, 0.0]])


def made(pool: ExpertPool | None = None, seed: int = 0, **options: object) -> Searcher:
    """The searcher over three models, with five children a batch."""
    return make("m2n2", Problem(4, 1, 1, pool=pool or expert_pool(3)), SearcherSettings(5, seed, options))


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


def test_slerp_of_sums_of_models_is_that_of_their_vectors() -> None:
    """A quarter of the way from (3, 0, 0, 0) to (0, 0, 3, 0), at right angles: sines of 67.5 and 22.5 degrees."""
    models = np.array([[3.0, 0.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0]])
    products = np.array([models[:, :2] @ models[:, :2].T, models[:, 2:] @ models[:, 2:].T])
    first, second = (np.tile(row, (2, 1)) for row in np.eye(2))
    found = angle(first, second, products)
    assert found == pytest.approx(np.pi / 2)
    weights = slerped(first, second, np.array([0.25, 0.75]), found)
    assert weights == pytest.approx(np.array([[0.923880, 0.382683], [0.382683, 0.923880]]), abs=1e-6)


def test_weights_of_generations_are_those_of_slerp_on_the_vectors_themselves() -> None:
    """Three models of seven parameters in three parts, their children and a grandchild, by the formula of the code."""
    random = np.random.default_rng(4)
    sizes, models = np.array([2, 4, 1]), random.normal(size=(3, 7))
    cuts = np.split(models, np.cumsum(sizes)[:-1], axis=1)
    span = ModelSpan(sizes.astype(float), lambda: np.array([cut @ cut.T for cut in cuts]), lambda _: (_ for _ in ()))
    units = [np.tile(row, (3, 1)) for row in np.eye(3)]

    def vector(weights: np.ndarray) -> np.ndarray:
        return np.concatenate([row @ cut for row, cut in zip(weights, cuts, strict=True)])

    def published(x: np.ndarray, y: np.ndarray, val: float, split: int) -> np.ndarray:
        """slerp_w_splitpoint of github.com/SakanaAI/natural_niches."""
        share = np.where(np.arange(len(x)) < split, val, 1 - val)
        omega = np.arccos(np.clip(x / np.linalg.norm(x) @ (y / np.linalg.norm(y)), -1, 1))
        return np.sin((1 - share) * omega) / np.sin(omega) * x + np.sin(share * omega) / np.sin(omega) * y

    one, other = crossed(units[0], units[1], span, 0.2, 0.3), crossed(units[2], units[0], span, 0.93, 0.9)
    assert np.allclose(vector(one), published(models[0], models[1], 0.3, 2), atol=1e-8), "0.2 * 7 is nearest to 2"
    assert np.allclose(vector(other), published(models[2], models[0], 0.9, 7), atol=1e-8), "and 6.51 to 7: all before"
    child = crossed(one, other, span, 0.8, 0.6)
    assert np.allclose(vector(child), published(vector(one), vector(other), 0.6, 6), atol=1e-8)


def test_parents_that_point_the_same_way_are_averaged_along_a_line() -> None:
    products = np.ones((1, 2, 2))
    first, second = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    assert angle(first, second, products) == 0.0
    assert slerped(first, second, np.array([0.25]), 0.0).tolist() == [[0.75, 0.25]]
    assert angle(first, second, np.zeros((1, 2, 2))) == 0.0, "models of zeros have no direction"


def test_a_step_worked_by_hand() -> None:
    """Parents, mixture and split point are the draws of the searcher's generator, in the order of the paper."""
    pool = expert_pool(3)
    span = pool.span()
    searcher = made(pool=pool, seed=3)
    first = searcher.ask()
    assert [p.recipe for p in first] == list(pool.alone)
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
        ends = np.array([0.0, 1.0, 3.0, 6.0, 10.0])
        before = int(np.abs(ends - 10.0 * split).argmin())
        share = np.where(np.arange(4) < before, mix, 1 - mix)[:, None]
        between = angle(*(np.tile(np.eye(3)[row], (4, 1)) for row in (one, other)), span.products())
        expected = np.zeros((4, 3))
        expected[:, [one]] += np.sin((1 - share) * between) / np.sin(between)
        expected[:, [other]] += np.sin(share * between) / np.sin(between)
        assert child.recipe.sources == pool.experts
        assert np.allclose(child.recipe.coefficients["weight"], expected, atol=1e-11)
        assert set(child.parents) == {f"1.{one}", f"1.{other}"}


def test_models_that_are_not_merged_by_weights_alone_are_refused() -> None:
    with pytest.raises(InputError, match=r"searcher m2n2 interpolates the weights of whole models.*method=linear"):
        made(pool=replace(expert_pool(3), span=None))


def test_the_member_with_the_least_fitness_leaves_and_whoever_misses_a_constraint_before_it() -> None:
    searcher = made(archive=3)
    searcher.tell(told(searcher.ask(), RIGHT))
    batch = searcher.ask()
    lone = np.array([[0.0, 0.0, 0.0, 1.0]] + [[1.0, 0.0, 0.0, 0.0]] * 4)
    searcher.tell(told(batch, lone))
    assert searcher.ids == ["1.0", "1.2", "2.0"], "it alone solves the last item; of 1.0 and 1.1, equals, the last left"
    later = searcher.ask()
    searcher.tell(told(later, np.ones((5, 4)), missed=1.0))
    assert searcher.ids == ["1.0", "1.2", "2.0"]


def test_survivors_are_the_members_that_the_searcher_is_left_with() -> None:
    random, searcher, scores, ids = np.random.default_rng(0), made(archive=4), list[np.ndarray](), list[str]()
    for _ in range(6):
        proposals = searcher.ask()
        own = (random.random((len(proposals), 4)) > 0.5).astype(float)
        ids += [one.id for one in proposals]
        scores += list(own)
        searcher.tell(told(proposals, own))
    assert [ids[row] for row in survivors(scores, [0.0] * len(scores), 1.0, 4)] == searcher.ids


def test_scores_of_other_items_or_none_are_refused() -> None:
    searcher = made()
    proposals = searcher.ask()
    for scores in ([None] * 3, [np.ones(4), np.ones(4), np.ones(5)]):
        with pytest.raises(RuntimeError, match="must be told the scores of the same items"):
            searcher.tell(
                [Observation(p.id, np.zeros(1), np.zeros(1), scores=s) for p, s in zip(proposals, scores, strict=True)]
            )
    searcher.tell(told(proposals, RIGHT))


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
