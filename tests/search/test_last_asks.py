"""Last asks: a searcher's recommendation is promoted though nobody drew it, and a tuned reference is asked too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from evomerge.evaluation import Constraint, Evaluation, Failure, Job, Outcome
from evomerge.recipe import Group, ParameterGroups, Recipe
from evomerge.search import AllocationSettings, Budgets, Criteria, PromoteSettings, SearchPlan
from evomerge.search.promotion.last_asks import tuned
from evomerge.search.searchers import Observation, Problem, Proposal, Selection
from evomerge.store import RunStore, candidates, estimates
from tests.search.analytic import BASE, ITEMS, MODELS, NORTH, SOUTH, Analytic, more_items, plan
from tests.search.sessions import search, status
from tests.search.test_kill import tmp_path

__all__ = ["tmp_path"]

NOISY = Analytic(noise=0.05)
NAMES = ["base", "expert:north", "expert:south", "uniform"]


def scaled(*scales: float) -> dict[str, Recipe]:
    groups = ParameterGroups((Group("all"),))
    weights = {f"scaled:{scale:g}": {"weight": np.full((1, 2), scale)} for scale in scales}
    return {name: Recipe("task_arithmetic", {}, MODELS, BASE, groups, weight) for name, weight in weights.items()}


def on(folder: Path, split: str) -> list[Evaluation]:
    return RunStore.read(folder).evaluations(split)


def mean_after(work: SearchPlan, told: list[Evaluation]) -> Recipe:
    """The recipe of CMA-ES' mean, of a strategy that is told the recorded values once more."""
    searcher = work.searcher(Problem(work.genome.n_var, 1, 1, work.starts))
    values = {(e.batch, e.index): e.told for e in told}
    for batch in range(1, max(batch for batch, _ in values) + 1):
        proposals = searcher.ask()
        rows = [values[batch, index] for index in range(len(proposals))]
        searcher.tell([Observation(p.id, np.array(r.F), np.array(r.G)) for p, r in zip(proposals, rows, strict=True)])
    assert hasattr(searcher, "recommend")
    (mean,) = searcher.recommend()
    return work.genome.decode(mean)


def test_the_mean_of_cmaes_is_promoted_whatever_its_search_score(tmp_path: Path) -> None:
    """On the search items every mixture but those that were proposed is bad; so the mean is the worst of all there."""
    work = replace(plan("cmaes", evaluations=26, depth="linear"), promotion=PromoteSettings(3), finalists=1)

    def worker(job: Job) -> Outcome:
        outcome = Analytic()(job)
        if job.split != "search" or job.id in proposed or len(job.recipe.sources) == 1 or job.ask.batch == 0:
            return outcome
        bad = [replace(r, metrics={m: v + 9.0 for m, v in r.metrics.items()}) for r in outcome.responses]
        return replace(outcome, responses=tuple(bad))

    first, jobs = search(tmp_path / "first", replace(work, finalists=0))
    proposed = {job.id for job in jobs}
    result, _ = search(tmp_path / "run", work, worker)
    (mean,) = [e for e in on(tmp_path / "run", "search") if e.recommended]
    assert (mean.batch, mean.parents) == (result.batches, (f"recommended:{result.batches}",))
    assert mean.metrics["south.loss"] > 9.0
    assert [e for e in on(tmp_path / "run", "search") if not e.recommended] == on(tmp_path / "first", "search")
    told = [e for e in on(tmp_path / "first", "search") if e.told is not None]
    assert mean.digest == mean_after(work, told).digest
    listed = [e.digest for e in result.selected if e.name is None]
    assert len(listed) == 3 + 1
    assert listed[-1] == mean.digest
    assert (result.evaluations, status(tmp_path / "run")["evaluations"]) == (26, 26), "it counts towards no budget"
    assert first.evaluations == 26


def test_without_a_selection_split_the_mean_competes_by_its_search_score(tmp_path: Path) -> None:
    work = replace(plan("cmaes", evaluations=16, depth="linear"), promotion=PromoteSettings(0), finalists=1)

    def worker(job: Job) -> Outcome:
        outcome = Analytic()(job)
        shift = -9.0 if job.ask.batch and job.ask.index >= 8 else 0.0  # places after those of a whole batch
        good = [replace(r, metrics={m: v + shift for m, v in r.metrics.items()}) for r in outcome.responses]
        return replace(outcome, responses=tuple(good))

    result, _ = search(tmp_path, work, worker)
    (mean,) = [e for e in on(tmp_path, "search") if e.recommended]
    assert [e.digest for e in result.confirmed if e.name is None] == [mean.digest]
    assert result.front == (mean,)


def test_the_best_scale_on_the_search_items_is_asked_what_finalists_are_asked(tmp_path: Path) -> None:
    """The optima lie at 0.25 and 0.75, so of these scales 0.5 suits both, and of one objective 0.7 the second."""
    scales = scaled(0.1, 0.5, 0.7, 1.0)
    several = replace(plan("nsga2", evaluations=24), scaled=scales, finalists=2)
    plain, _ = search(tmp_path / "plain", replace(several, scaled={}))
    result, _ = search(tmp_path / "several", several)
    first = on(tmp_path / "several", "search")
    assert [(e.name, e.batch, e.index) for e in first[:8]] == [
        (name, 0, index) for index, name in enumerate([*NAMES, *scales])
    ]
    assert {(e.items, e.item_set) for e in first} == {(10, first[0].item_set)}, "the items that candidates are asked"
    assert [e for e in first if not str(e.name).startswith("scaled:")] == on(tmp_path / "plain", "search")
    for found, before in ((result.selected, plain.selected), (result.confirmed, plain.confirmed)):
        assert list(found[:-1]) == list(before), "nobody else's place or score changes"
        assert (found[-1].name, found[-1].digest) == ("scaled:0.5", scales["scaled:0.5"].digest)
    single, _ = search(tmp_path / "single", replace(plan("ga", evaluations=16), scaled=scales, finalists=1))
    assert [e.name for e in single.confirmed if e.name][-1] == "scaled:0.7"


def test_where_batches_have_windows_last_asks_are_of_all_search_items_as_baselines_are(tmp_path: Path) -> None:
    allocation = AllocationSettings("rotating", items=6)
    work = replace(
        plan("cmaes", evaluations=18),
        items=more_items(12),
        allocation=allocation,
        promotion=PromoteSettings(3),
        finalists=1,
    )
    search(tmp_path / "before", replace(work, finalists=0), NOISY)
    result, _ = search(tmp_path / "run", replace(work, scaled=scaled(0.5, 0.75)), NOISY)
    found = on(tmp_path / "run", "search")
    last = [e for e in found if e.recommended or str(e.name).startswith("scaled:")]
    assert [(e.name, e.items, e.probabilities) for e in last] == [
        (name, 24, None) for name in ("scaled:0.5", "scaled:0.75", None)
    ]
    assert [e for e in found if e not in last] == on(tmp_path / "before", "search"), "nobody else is asked otherwise"
    assert {e.items for e in found if e not in last} == {12, 24}
    mean = last[-1]
    assert [e.digest for e in result.selected if e.name is None][-1] == mean.digest
    assert result.confirmed[-1].name == "scaled:0.75", "its optimum"
    store = RunStore.read(tmp_path / "run")
    assert mean.digest in {e.digest for e in candidates(store)}
    assert mean.digest not in estimates(store), "all search items were asked, so its metrics say all"


@dataclass
class Scripted:
    """Proposes given genomes, one in a batch, and recommends one."""

    genomes: Sequence[np.ndarray]
    recommended: np.ndarray
    name: str = "scripted"
    batch: int = 0

    def ask(self, n: int | None = None) -> list[Proposal]:
        self.batch += 1
        return [Proposal(f"b{self.batch}", self.genomes[self.batch - 1])]

    def tell(self, observations: Sequence[Observation]) -> None:
        pass

    def selection(self) -> Selection:
        return Selection(places=1)

    def recommend(self) -> np.ndarray:
        return self.recommended[None]


@pytest.mark.parametrize("allocation", [AllocationSettings(), AllocationSettings("rotating", items=6)])
def test_what_was_recommended_where_a_run_ended_may_be_proposed_when_it_goes_on(
    allocation: AllocationSettings, tmp_path: Path
) -> None:
    """It counts as a candidate from then on, is asked nothing twice, and is promoted once."""
    work = replace(plan("ga", evaluations=1), items=more_items(12), allocation=allocation, finalists=1)
    first, second = np.full((2, work.genome.n_var), 0.25) + np.array([[0.0], [0.5]])
    work = replace(work, searcher=lambda problem: Scripted([first, second], second), promotion=PromoteSettings(4))
    search(tmp_path, work)
    (before,) = [e for e in on(tmp_path, "search") if e.recommended]
    result, jobs = search(tmp_path, replace(work, budgets=Budgets(evaluations=2)))
    assert [job for job in jobs if job.recipe.digest == before.digest] == []
    (proposed,) = [e for e in on(tmp_path, "search") if e.batch == 2]
    assert (proposed.digest, proposed.recommended, result.evaluations) == (before.digest, False, 2)
    store = RunStore.read(tmp_path)
    assert [(e.digest == before.digest, e.recommended) for e in candidates(store)] == [(False, False), (True, False)]
    assert [e.digest for e in result.selected if e.name is None].count(before.digest) == 1
    again, jobs = search(tmp_path, replace(work, budgets=Budgets(evaluations=2)))
    assert (jobs, again) == ([], result)


def test_a_scale_that_fails_or_misses_the_constraints_is_passed_over() -> None:
    def evaluation(north: float, south: float, error: Failure | None = None) -> Evaluation:
        metrics = {} if error else {"north.acc": north, "south.loss": south}
        return replace(_EMPTY, metrics=metrics, error=error)

    limit = Constraint("north.acc >= 0.5", "north.acc", ">=", 0.5)
    criteria = Criteria((SOUTH,), (limit,), {"base": evaluation(0.6, 1.0)})
    failed = evaluation(0.0, 0.0, Failure("oom", ""))
    found = {"scaled:0.3": failed, "scaled:0.5": evaluation(0.4, 0.1), "scaled:0.7": evaluation(0.6, 0.3)}
    assert tuned(criteria, found) == "scaled:0.7"
    assert tuned(criteria, dict(list(found.items())[:2])) == "scaled:0.5", "the only one that could be scored"
    assert tuned(criteria, {"scaled:0.3": failed}) is None
    both = Criteria((NORTH, SOUTH), (), {"base": evaluation(0.6, 1.0)})
    ends = {"a": evaluation(0.9, 0.9), "b": evaluation(0.8, 0.2), "c": evaluation(0.1, 0.1)}
    assert tuned(both, ends) == "b", "the knee"


@pytest.mark.parametrize("name", ["cmaes", "nsga2"])
def test_stopped_within_the_last_asks_it_ends_as_an_undisturbed_one(name: str, tmp_path: Path) -> None:
    work = replace(plan(name, evaluations=24, depth="linear"), scaled=scaled(0.5, 0.7), finalists=1)
    search(tmp_path / "whole", work)
    late = 2 + (name == "cmaes")
    for stop_at in range(1, late + 1):
        seen: list[Mapping[str, object]] = []

        def stop(seen: list[Mapping[str, object]] = seen, stop_at: int = stop_at) -> str:
            return "now" if len(seen) == 4 + 24 + stop_at else "none"

        def worker(job: Job, seen: list[Mapping[str, object]] = seen) -> Outcome:
            seen.append(job.ask.to_json())
            return Analytic()(job)

        with pytest.raises(KeyboardInterrupt):
            search(tmp_path / str(stop_at), work, worker, stop=stop)
        assert status(tmp_path / str(stop_at))["phase"] == "references"
        search(tmp_path / str(stop_at), work)
        for split in ("search", "selection", "test"):
            assert on(tmp_path / str(stop_at), split) == on(tmp_path / "whole", split)


def test_told_to_finish_nothing_more_is_asked(tmp_path: Path) -> None:
    work = replace(plan("cmaes", evaluations=18), scaled=scaled(0.5), finalists=1)  # batches of 2, 8 and 8
    seen: list[Job] = []

    def worker(job: Job) -> Outcome:
        seen.append(job)
        return Analytic()(job)

    result, _ = search(tmp_path, work, worker, stop=lambda: "finish" if len(seen) == 4 + 18 else "none")
    assert (result.reason, len(seen)) == ("stopped", 4 + 18)
    result, jobs = search(tmp_path, work)
    assert [str(job.ask) for job in jobs[:2]] == ["number 4 of batch 0 (search)", "number 8 of batch 3 (search)"]
    assert result.confirmed[-1].name == "scaled:0.5"


def test_without_items_to_promote_on_nothing_is_asked(tmp_path: Path) -> None:
    work = replace(plan("cmaes", evaluations=16), scaled=scaled(0.5), items={**ITEMS, "selection": {}, "test": {}})
    _, jobs = search(tmp_path, work)
    assert len(jobs) == 4 + 16


_EMPTY = Evaluation("", {}, None)  # type: ignore[arg-type]
