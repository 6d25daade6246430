"""Archives beyond their searchers: patience counts cells, elites are promoted from far apart, CycleQD's mean joins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evomerge.analysis.diversity.grid import Grid, elites, spread
from evomerge.evaluation import Constraint, Evaluation, Failure, Job, Outcome, Response
from evomerge.recipe import Recipe
from evomerge.search import Budgets, Criteria, PromoteSettings, SearchPlan, factory
from evomerge.search.searchers import CellRecord, Observation, Problem, Pushes, SearcherSettings, make, pushed
from evomerge.search.searchers.cycleqd import softmax
from evomerge.store import RunStore
from tests.search.analytic import MEASURES, plan, space, weights_of
from tests.search.sessions import search


def criteria_of(work: SearchPlan, folder: Path) -> Criteria:
    known = {e.name: e for e in RunStore.read(folder).evaluations("search") if e.name is not None}
    return Criteria(work.objectives, work.constraints, known, work.measures, work.cells)


def cell_of(criteria: Criteria, evaluation: Evaluation) -> tuple[int, ...]:
    assert criteria.grid is not None
    return criteria.grid.cell([measure.value(evaluation.metrics) for measure in MEASURES])


def asked(folder: Path, split: str) -> list[Evaluation]:
    return [e for e in RunStore.read(folder).evaluations(split) if e.name is None]


def test_the_best_of_regions_that_lie_far_apart_are_chosen() -> None:
    """The best is a centre, (9, 9) lies furthest from it; (8, 9) is better than the latter and in its region."""
    cells, values = [(0, 0), (0, 1), (9, 9), (8, 9), (1, 0)], [1.0, 2.0, 9.0, 3.0, 1.5]
    assert spread(cells, values, 1) == [0]
    assert spread(cells, values, 2) == [0, 3]
    assert spread(cells, values, 5) == [0, 1, 2, 3, 4]
    assert spread(cells, values, 0) == spread([], [], 3) == []


@pytest.mark.parametrize("steady", [None, 8])
def test_patience_counts_batches_without_a_new_or_better_cell(steady: int | None, tmp_path: Path) -> None:
    work = plan("map_elites", depth="model", budgets=Budgets(evaluations=600, patience=3))
    result, _ = search(tmp_path, replace(work, steady=steady))
    assert result.reason == "patience"
    criteria, best, last = criteria_of(work, tmp_path), dict[tuple[int, ...], float](), 0
    improved_front = 0
    for number, e in enumerate(asked(tmp_path, "search")):
        cell, value = cell_of(criteria, e), e.metrics["south.loss"]
        if value < min(best.values(), default=np.inf):
            improved_front = number
        if value < best.get(cell, np.inf):
            best[cell], last = value, number
    assert last > improved_front, "the best was found long before the last cell"
    assert result.evaluations - 1 - last >= 3 * 8 - 1
    again, jobs = search(tmp_path, replace(work, steady=steady))
    assert (again, jobs) == (result, [])


@pytest.mark.parametrize(("steady", "fails", "ends"), [(None, 12, 16), (8, 5, 9)])
def test_a_failed_candidate_reaches_no_cell(steady: int | None, fails: int, ends: int, tmp_path: Path) -> None:
    """All others are in one cell, none better than the first; the cell that a failure is told for stays empty."""
    asked: list[str] = []

    def alike(job: Job) -> Outcome:
        asked.append(job.recipe.digest)
        if len(asked) == len(work.baselines) + fails:
            return Outcome(error=Failure("nonfinite", "weight of layer 3 is nan"))
        return Outcome(
            tuple(Response(task, item, {"acc": 0.6, "loss": 0.4}) for task in job.items for item in job.items[task])
        )

    work = replace(plan("map_elites", depth="model", budgets=Budgets(evaluations=100, patience=1)), steady=steady)
    result, _ = search(tmp_path, work, alike)
    assert (result.reason, result.evaluations) == ("patience", ends)


def test_a_corrected_elite_gives_way_and_its_cell_counts_again() -> None:
    grid = Grid((0.0,), (1.0,), 4)
    record = CellRecord(grid, 1)

    def told(id: str, value: float, at: float, failed: float = 0.0) -> Observation:
        return Observation(id, np.array([value]), np.array([failed]), measures=np.array([at]))

    assert not record.add([told("z", 9.0, 0.0, failed=1.0)]), "a failure is in no cell"
    assert record.add([told("a", 1.0, 0.1)])
    assert not record.add([told("b", 2.0, 0.2)]), "worse in the same cell"
    assert record.add([told("c", 3.0, 0.9)]), "worse in a new one"
    assert not record.add([told("a", 5.0, 0.1)]), "a correction is no improvement"
    assert record.add([told("d", 4.0, 0.1)]), "but who is better than the corrected value is one"
    assert not record.add([told("d", 9.0, 0.0, failed=1.0)]), "it fails when it is asked more"
    assert record.add([told("e", 8.0, 0.1)]), "which leaves its cell empty"


def test_elites_of_cells_are_promoted_and_confirmed(tmp_path: Path) -> None:
    work = replace(plan("map_elites", evaluations=80), promotion=PromoteSettings(6), finalists=4, cells=12)
    search(tmp_path, work)
    criteria, candidates = criteria_of(work, tmp_path), asked(tmp_path, "search")
    points = [[measure.value(e.metrics) for measure in MEASURES] for e in candidates]
    assert criteria.grid is not None
    found = elites(criteria.grid, points, [e.metrics["south.loss"] for e in candidates])
    own = {candidates[row].digest: cell for cell, row in found.items()}
    compared, confirmed = ({e.digest for e in asked(tmp_path, split)} for split in ("selection", "test"))
    assert len(own) > 6
    assert len(compared) == 6
    assert compared <= own.keys(), "elites of cells, and no others"
    assert len(confirmed) == 4
    assert confirmed <= compared
    best = min(candidates, key=lambda e: e.metrics["south.loss"])
    assert best.digest in confirmed
    gaps = [np.abs(np.subtract(own[a], own[b])).max() for a in confirmed for b in confirmed if a < b]
    assert max(gaps) >= 2, "spread over the cells"


def test_where_nobody_is_feasible_nobody_is_promoted(tmp_path: Path) -> None:
    out_of_reach = Constraint("south.loss <= -1", "south.loss", "<=", -1.0)
    work = plan("map_elites", evaluations=16, constraints=(out_of_reach,))
    search(tmp_path, work)
    assert not asked(tmp_path, "selection")
    assert not asked(tmp_path, "test")


def test_without_a_selection_split_elites_are_confirmed_by_search_scores(tmp_path: Path) -> None:
    work = replace(plan("map_elites", evaluations=40), promotion=PromoteSettings(0), finalists=3)
    search(tmp_path, work)
    assert not asked(tmp_path, "selection")
    assert len(asked(tmp_path, "test")) == 3


def test_cycleqd_recommends_the_mean_of_the_best_by_the_softmax_of_their_scores(tmp_path: Path) -> None:
    starts = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    scores = {"1.0": (0.9, 0.1), "1.1": (0.2, 0.8), "1.2": (0.55, 0.5)}
    genome, made = space("model"), list[tuple[list[np.ndarray], list[float]]]()

    def average(members: list[np.ndarray], weights: list[float]) -> Recipe:
        made.append((members, weights))
        return genome.decode(members[0])

    pushes = Pushes(lambda x, own, size: pushed(genome, x, own, size), (0, 1))
    grid = Grid((0.0, 0.0), (1.0, 1.0), 10)
    searcher = make("cycleqd", Problem(2, 2, 1, starts, grid, pushes=pushes, average=average), SearcherSettings(5))
    assert searcher.recommend() == ()
    searcher.tell(
        [Observation(p.id, -np.array(scores[p.id]), np.zeros(1), None, np.array(scores[p.id])) for p in searcher.ask()]
    )
    searcher.recommend()
    ((first, second), weights) = made[0]
    assert (first.tolist(), second.tolist()) == ([1.0, 0.0], [0.0, 1.0]), "the best in either objective"
    assert weights == pytest.approx(
        [np.exp(0.9) / (np.exp(0.9) + np.exp(0.8)), np.exp(0.8) / (np.exp(0.9) + np.exp(0.8))]
    )
    assert softmax(np.array([1000.0, 1000.0])).tolist() == [0.5, 0.5]


def test_cycleqds_mean_is_scored_on_the_same_items_and_confirmed(tmp_path: Path) -> None:
    """With noise on genes, so that the objectives have different bests."""
    searcher = factory("cycleqd", SearcherSettings(8, 0, {"mutation": "genes"}))
    work = replace(plan("cycleqd", evaluations=40), searcher=searcher, promotion=PromoteSettings(4), finalists=2)
    search(tmp_path, work)
    (mean,) = [e for e in asked(tmp_path, "search") if e.recommended]
    recipe = Recipe.from_json(dict(mean.recipe))
    assert (recipe.method, len(recipe.sources)) == ("linear", 2)
    assert all(isinstance(source, Recipe) for source in recipe.sources)
    weight = recipe.coefficients["weight"]
    assert weight.shape == (1, 2)
    assert weight.sum() == pytest.approx(1.0)
    assert weights_of(recipe).shape[1] == 4
    for split in ("selection", "test"):
        assert mean.digest in {e.digest for e in asked(tmp_path, split)}
    assert len(asked(tmp_path, "test")) == 2


def test_a_candidate_that_is_recommended_too_is_one_finalist(tmp_path: Path) -> None:
    """Whoever is the best of both archives is CycleQD's mean."""

    def alike(job: Job) -> Outcome:
        missed = float(np.mean((weights_of(job.recipe) - 0.4) ** 2))
        values = {"north": {"acc": 1.0 - missed}, "south": {"loss": missed}}
        return Outcome(tuple(Response(task, item, values[task]) for task in job.items for item in job.items[task]))

    searcher = factory("cycleqd", SearcherSettings(8, 0, {"mutation": "genes"}))
    work = replace(plan("cycleqd", evaluations=40), searcher=searcher, promotion=PromoteSettings(0), finalists=3)
    search(tmp_path, work, alike)
    best = max(asked(tmp_path, "search"), key=lambda e: e.metrics["north.acc"])
    assert not any(e.recommended for e in asked(tmp_path, "search"))
    assert best.digest in {e.digest for e in asked(tmp_path, "test")}
    assert len(asked(tmp_path, "test")) == 3
