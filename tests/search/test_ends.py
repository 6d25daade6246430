"""The end of a search: budgets, patience, exhausted searchers, and a person who stops it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from evomerge.evaluation import Ask, Job, Outcome
from evomerge.search import (
    Budgets,
    Progress,
)
from evomerge.search.searchers import Observation, Proposal
from evomerge.store import RunStore
from tests.search.analytic import Analytic, plan
from tests.search.sessions import search, status


def test_no_budget_is_overdrawn(tmp_path: Path) -> None:
    result, _ = search(tmp_path / "few", plan("nsga2", evaluations=3))
    assert (result.reason, result.evaluations, result.batches) == ("evaluations", 3, 0)
    result, jobs = search(tmp_path / "items", plan("nsga2", budgets=Budgets(items=137)))
    assert (result.reason, result.evaluations) == ("items", 13)
    assert sum(job.n_items for job in jobs if job.split == "search") == 130 + 40, "baselines are free"
    result, _ = search(tmp_path / "both", plan("nsga2", budgets=Budgets(evaluations=5, items=137)))
    assert (result.reason, result.evaluations) == ("evaluations", 5)
    result, jobs = search(tmp_path / "none", plan("nsga2", evaluations=0))
    assert (result.reason, len(jobs)) == ("evaluations", 8)
    result, jobs = search(tmp_path / "time", plan("nsga2", budgets=Budgets(seconds=0.0)))
    assert (result.reason, result.evaluations) == ("seconds", 0)


def test_wall_time_adds_up_over_sessions_but_does_not_stop_a_replay(tmp_path: Path) -> None:
    search(tmp_path, plan("nsga2", evaluations=12))
    seconds = status(tmp_path)["seconds"]
    result, jobs = search(tmp_path, plan("nsga2", budgets=Budgets(seconds=seconds / 2)))
    assert (result.reason, result.evaluations, jobs) == ("seconds", 12, [])
    assert status(tmp_path)["seconds"] >= seconds


def test_patience_counts_batches_without_progress(tmp_path: Path) -> None:
    work = plan("ga", depth="model", budgets=Budgets(evaluations=400, patience=3))
    result, _ = search(tmp_path, work)
    assert result.reason == "patience"
    best = [
        min(e.metrics["south.loss"] for e in RunStore.read(tmp_path).evaluations("search") if 0 < e.batch <= batch)
        for batch in range(1, result.batches + 1)
    ]
    assert best[-4] == best[-1], "three batches brought nothing"
    again, jobs = search(tmp_path, work)
    assert (again, jobs) == (result, [])
    further, _ = search(tmp_path, replace(work, budgets=Budgets(evaluations=400, patience=6)))
    assert further.batches > result.batches


def test_a_searcher_with_nothing_to_say_ends_the_search(tmp_path: Path) -> None:
    class Silent:
        name = "silent"

        def ask(self, n: int | None = None) -> list[Proposal]:
            return []

        def tell(self, observations: Sequence[Observation]) -> None:
            raise AssertionError("there is nothing to tell")

    result, _ = search(tmp_path, replace(plan("random"), searcher=lambda *_: Silent()))
    assert (result.reason, result.evaluations, result.front) == ("exhausted", 0, ())
    assert len(result.confirmed) == 4, "baselines are confirmed all the same"


def test_a_search_among_models_ends_when_all_have_been_tried(tmp_path: Path) -> None:
    """Each of 14 models alone is a baseline; then come 13 asks of nine shares each, and none after them."""
    seen: list[Progress] = []
    result, _ = search(tmp_path, plan("greedy_soup", evaluations=400), progress=seen.append)
    assert (result.reason, result.batches, result.evaluations) == ("exhausted", 14, 13 * 9)
    assert {now.total for now in seen if now.phase == "search"} == {13 * 9}


def test_stop_and_finish_keeps_the_batch_and_skips_the_confirmation(tmp_path: Path) -> None:
    seen: list[Progress] = []
    work = plan("nsga2", evaluations=40)
    result, _ = search(
        tmp_path, work, progress=seen.append, stop=lambda: "finish" if seen and seen[-1].done == 11 else "none"
    )
    assert result.reason == "evaluations", "asked only between batches"
    result, _ = search(
        tmp_path / "other",
        work,
        progress=seen.append,
        stop=lambda: "finish" if seen and seen[-1].done >= 11 else "none",
    )
    assert (result.reason, result.evaluations, result.confirmed) == ("stopped", 16, ())
    assert (status(tmp_path / "other")["reason"], status(tmp_path / "other")["finished"]) == ("stopped", False)
    assert (tmp_path / "other" / "evaluations.jsonl").exists()
    after, _ = search(tmp_path / "other", work)
    assert after.reason == "evaluations"
    assert [e.digest for e in RunStore.read(tmp_path).evaluations()] == [
        e.digest for e in RunStore.read(tmp_path / "other").evaluations()
    ]


def test_stop_and_finish_in_a_batch_that_the_budget_cuts_skips_the_promotion_too(tmp_path: Path) -> None:
    seen: list[Progress] = []
    work = plan("nsga2", evaluations=12)
    result, jobs = search(
        tmp_path, work, progress=seen.append, stop=lambda: "finish" if seen and seen[-1].done >= 11 else "none"
    )
    assert (result.reason, result.evaluations, result.cut) == ("stopped", 12, True)
    assert {job.split for job in jobs} == {"search"}
    after, jobs = search(tmp_path, work)
    assert (after.reason, {job.split for job in jobs}) == ("evaluations", {"selection", "test"})


def test_a_batch_that_the_clock_cuts_ends_the_search_by_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour passes over one candidate, and no time else, however busy the machine is."""
    work = plan("nsga2", budgets=Budgets(evaluations=40, seconds=3600.0))
    passed = [0.0]
    monkeypatch.setattr(
        import_module("evomerge.search.status.stopwatch"), "time", SimpleNamespace(monotonic=lambda: passed[-1])
    )

    def slow(job: Job) -> Outcome:
        if job.ask == Ask("search", 1, 2):
            passed.append(3600.0)
        return Analytic()(job)

    result, _ = search(tmp_path, work, slow)
    assert (result.reason, result.evaluations, result.cut) == ("seconds", 3, True)


def test_stop_now_loses_only_what_was_being_scored(tmp_path: Path) -> None:
    seen: list[Progress] = []
    with pytest.raises(KeyboardInterrupt):
        search(
            tmp_path, plan("nsga2"), progress=seen.append,
            stop=lambda: "now" if seen and seen[-1].phase == "search" and seen[-1].done >= 11 else "none",
        )  # fmt: skip
    assert len(RunStore.read(tmp_path).evaluations()) == 4 + 11
    assert len((tmp_path / "evaluations.jsonl").read_text().splitlines()) == 15
    assert status(tmp_path)["reason"] == "interrupted"
