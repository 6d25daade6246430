"""Promotion: a shortlist on the selection split, finalists on the test split, nobody twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import pytest

from evomerge.evaluation import Constraint, Evaluation, Failure, Job, Outcome
from evomerge.search import Budgets, PromoteSettings, SearchPlan
from evomerge.store import RunStore
from tests.search.analytic import ITEMS, MODELS, Analytic, plan
from tests.search.sessions import search, status

NAMES = ["base", "expert:north", "expert:south", "uniform"]


def lucky(job: Job) -> Outcome:
    """Candidates that were lucky on the search items: on others each has values of its own, far from those."""
    outcome = Analytic()(job)
    if job.split == "search" or len(job.recipe.sources) == 1:
        return outcome
    shift = crc32(job.recipe.digest.encode()) % 1000 / 1000 - 0.5
    moved = [replace(r, metrics={m: v + shift for m, v in r.metrics.items()}) for r in outcome.responses]
    return replace(outcome, responses=tuple(moved))


def on(folder: Path, split: str) -> list[Evaluation]:
    return RunStore.read(folder).evaluations(split)


def test_finalists_are_chosen_by_fresh_scores_and_the_test_split_is_asked_once(tmp_path: Path) -> None:
    work = replace(plan("nsga2", evaluations=48), finalists=3)
    result, jobs = search(tmp_path, work, lucky)
    selected, tested = on(tmp_path, "selection"), on(tmp_path, "test")
    assert (list(result.selected), list(result.confirmed)) == (selected, tested)
    assert [e.name for e in selected] == [*NAMES, *[None] * 6], "twice the finalists"
    assert [dict(job.items) for job in jobs if job.split == "selection"] == [ITEMS["selection"]] * 10
    assert {(e.batch, e.items) for e in selected} == {(result.batches, 8)}
    assert [e.index for e in selected] == list(range(10))

    def value(evaluation: Evaluation) -> tuple[float, float]:
        return -evaluation.metrics["north.acc"], evaluation.metrics["south.loss"]

    listed = selected[4:]
    front = {
        e.digest
        for e in listed
        if not any(all(a <= b for a, b in zip(value(o), value(e), strict=True)) for o in listed if o is not e)
    }
    finalists = {e.digest for e in tested if e.name is None}
    assert finalists <= front, "by selection scores"
    assert len(finalists) == min(3, len(front))
    assert [e.name for e in tested][:4] == NAMES
    assert max(Counter(job.recipe.digest for job in jobs if job.split == "test").values()) == 1
    assert status(tmp_path)["phase"] == "done"


def test_the_shortlist_holds_the_front_and_what_comes_next(tmp_path: Path) -> None:
    work = plan("ga", evaluations=24, depth="model")
    result, _ = search(tmp_path, replace(work, promotion=PromoteSettings(5), finalists=2))
    scores = sorted((e.metrics["south.loss"], e.digest) for e in on(tmp_path, "search") if e.batch)
    assert {e.digest for e in result.selected if e.name is None} == {digest for _, digest in scores[:5]}
    assert len(result.confirmed) == 4 + 1, "with one objective there is one best"


@pytest.mark.parametrize(
    "change",
    [
        lambda work: replace(work, items={**ITEMS, "selection": {}}),
        lambda work: replace(work, items={**ITEMS, "selection": {"north": (), "south": ()}}),
        lambda work: replace(work, promotion=PromoteSettings(0)),
    ],
    ids=["no split", "no items", "not wanted"],
)
def test_without_selection_finalists_are_chosen_by_search_scores(
    tmp_path: Path, change: Callable[[SearchPlan], SearchPlan]
) -> None:
    result, _ = search(tmp_path, replace(change(plan("nsga2", evaluations=48)), finalists=3), lucky)
    assert result.selected == ()
    assert on(tmp_path, "selection") == []
    assert {e.digest for e in result.confirmed if e.name is None} <= {e.digest for e in result.front}
    assert len(result.confirmed) == 4 + 3


def test_without_a_test_split_candidates_are_selected_and_none_is_confirmed(tmp_path: Path) -> None:
    work = replace(plan("nsga2", evaluations=24), items={**ITEMS, "test": {}}, promotion=PromoteSettings(5))
    result, _ = search(tmp_path, work)
    assert (len(result.selected), result.confirmed, result.reason) == (4 + 5, (), "evaluations")


def test_without_finalists_nothing_is_promoted(tmp_path: Path) -> None:
    result, _ = search(tmp_path, replace(plan("nsga2", evaluations=24), finalists=0, promotion=PromoteSettings(5)))
    assert (result.selected, result.confirmed) == ((), ())


def test_relative_constraints_are_measured_on_the_items_of_the_split(tmp_path: Path) -> None:
    """The base is much better on the selection items than on the search items; no candidate keeps up there."""

    def worker(job: Job) -> Outcome:
        outcome = Analytic()(job)
        if job.split != "selection" or job.ask.index != 0:
            return outcome
        better = [replace(r, metrics={m: v + 0.4 for m, v in r.metrics.items()}) for r in outcome.responses]
        return replace(outcome, responses=tuple(better))

    limit = Constraint("north.acc >= base + 0.3", "north.acc", ">=", 0.3, "base")
    work = replace(plan("nsga2", evaluations=48, constraints=(limit,)), finalists=2)
    result, _ = search(tmp_path, work, worker)
    base = result.selected[0]
    listed = [e for e in result.selected if e.name is None]
    assert len(listed) == 4
    assert all(e.metrics["north.acc"] < base.metrics["north.acc"] + 0.3 for e in listed)
    nearest = sorted(listed, key=lambda e: -e.metrics["north.acc"])[:2]
    assert {e.digest for e in result.confirmed if e.name is None} == {e.digest for e in nearest}


def test_a_baseline_that_fails_on_the_selection_split_leaves_the_choice_to_search_scores(tmp_path: Path) -> None:
    def worker(job: Job) -> Outcome:
        if job.split == "selection" and job.ask.index == 0:
            return Outcome(error=Failure("oom", "long prompts"))
        return Analytic()(job)

    limit = Constraint("north.acc >= base", "north.acc", ">=", 0.0, "base")
    result, _ = search(tmp_path, replace(plan("nsga2", evaluations=24, constraints=(limit,)), finalists=2), worker)
    assert [e.name for e in result.selected if e.error] == ["base"]
    assert {e.digest for e in result.confirmed if e.name is None} <= {e.digest for e in result.front}
    base = result.confirmed[0]
    assert base.error == Failure("oom", "long prompts"), "final, so it is not tried again on the test split"
    assert RunStore.read(tmp_path).provenance(base).attempt == 0


def test_a_baseline_that_equals_another_is_a_reference_all_the_same(tmp_path: Path) -> None:
    """An expert that is the base under another name shares its evaluation, which bears one name alone."""
    work = plan("ga", evaluations=24)
    north = work.baselines["expert:north"]
    limit = Constraint("south.loss <= best_expert + 2", "south.loss", "<=", 2.0, "best_expert")
    work = replace(work, baselines={"base": north, "expert:north": north}, constraints=(limit,), finalists=1)
    result, _ = search(tmp_path, work, lucky)
    assert [e.name for e in result.selected if e.name] == ["base"]
    listed = {e.digest: e.metrics["south.loss"] for e in result.selected if e.name is None}
    assert [e.digest for e in result.confirmed if e.name is None] == [min(listed, key=lambda digest: listed[digest])]


@pytest.mark.parametrize("split", ["selection", "test"])
def test_baselines_that_share_a_record_leave_every_place_where_it_was_after_a_stop(tmp_path: Path, split: str) -> None:
    """Stopped after each of the baselines' records in turn: the next session gives the others the same places."""
    work = replace(plan("ga", evaluations=24), finalists=1)
    north, south, uniform = (work.baselines[name] for name in ("expert:north", "expert:south", "uniform"))
    work = replace(work, baselines={"base": north, "expert:north": north, "expert:south": south, "uniform": uniform})
    search(tmp_path / "whole", work)
    for stop_at in range(1, 4):
        jobs: list[str] = []

        def stop(jobs: list[str] = jobs, stop_at: int = stop_at) -> str:
            return "now" if jobs.count(split) == stop_at else "none"

        def worker(job: Job, jobs: list[str] = jobs) -> Outcome:
            jobs.append(job.split)
            return Analytic()(job)

        folder = tmp_path / str(stop_at)
        with pytest.raises(KeyboardInterrupt):
            search(folder, work, worker, stop=stop)
        assert len(on(folder, split)) == stop_at
        search(folder, work)
        assert on(folder, split) == on(tmp_path / "whole", split)


def test_candidates_that_fail_on_the_selection_split_are_not_confirmed(tmp_path: Path) -> None:
    def worker(job: Job) -> Outcome:
        if job.split == "selection" and job.ask.index > 6:
            return Outcome(error=Failure("oom", "long prompts"))
        return Analytic()(job)

    result, _ = search(tmp_path, replace(plan("nsga2", evaluations=24), finalists=4), worker)
    failed = {e.digest for e in result.selected if e.error}
    assert len(failed) == 5
    assert not failed & {e.digest for e in result.confirmed}
    assert len(result.confirmed) > 4


def test_nor_where_a_baseline_failed_there_too(tmp_path: Path) -> None:
    def worker(job: Job) -> Outcome:
        if job.split == "selection" and job.ask.index in (0, 4, 5, 6):
            return Outcome(error=Failure("oom", "long prompts"))
        return Analytic()(job)

    limit = Constraint("north.acc >= base - 1", "north.acc", ">=", -1.0, "base")
    work = replace(plan("nsga2", evaluations=24, constraints=(limit,)), finalists=4)
    result, _ = search(tmp_path, work, worker)
    failed = {e.digest for e in result.selected if e.error and e.name is None}
    assert len(failed) == 3
    assert not failed & {e.digest for e in result.confirmed}
    assert len(result.confirmed) > 4


def test_an_extended_run_asks_nobody_twice(tmp_path: Path) -> None:
    """Also where the extension ends after as many told batches, so that places of the promotion are taken already."""
    work = replace(plan("nsga2", evaluations=20), finalists=3)
    asked: list[Job] = []
    for changes in ({}, {"budgets": Budgets(evaluations=23)}, {"budgets": Budgets(evaluations=40)}, {"finalists": 6}):
        work = replace(work, **changes)
        result, jobs = search(tmp_path, work, lucky)
        asked += jobs
        for split, found in (("selection", result.selected), ("test", result.confirmed)):
            assert [e.name for e in found][:4] == NAMES
            assert {e.split for e in found} == {split}
            assert len({e.ask for e in found}) == len(found)
    assert max(Counter((job.recipe.digest, job.split) for job in asked).values()) == 1
    assert len([job for job in asked if job.split == "test" and job.recipe.sources != MODELS]) == 3, "base and experts"
    again, jobs = search(tmp_path, work, lucky)
    assert (again, jobs) == (result, [])


def test_a_run_told_to_finish_while_selecting_goes_on_with_the_confirmation_later(tmp_path: Path) -> None:
    seen: list[str] = []
    work = plan("nsga2", evaluations=16)
    result, _ = search(
        tmp_path,
        work,
        progress=lambda p: seen.append(p.phase),
        stop=lambda: "finish" if "selection" in seen else "none",
    )
    assert (result.reason, len(result.selected), result.confirmed) == ("stopped", 4 + 16, ())
    assert (status(tmp_path)["phase"], status(tmp_path)["finished"]) == ("selection", False)
    result, jobs = search(tmp_path, work)
    assert result.reason == "evaluations"
    assert {job.split for job in jobs} == {"test"}
