"""The loop: what is scored, what is told, what is kept, and when it ends."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evomerge import executors
from evomerge.errors import InputError
from evomerge.evaluation import Constraint, Failure, Job, Objective, Outcome
from evomerge.executors import Result
from evomerge.search import (
    Budgets,
    EveryBaselineFailed,
    Progress,
    RepeatedFailures,
    ReplayError,
    SearchPlan,
    SearchResult,
    run,
)
from evomerge.search.loop import EMPTY_BATCHES
from evomerge.search.searchers import Observation, Proposal
from evomerge.store import RunStore
from tests.search.analytic import BASE, ITEMS, MODELS, Analytic, analytic, plan


@dataclass
class Counting:
    """The analytic worker, keeping count of what it is asked."""

    worker: Callable[[Job], Outcome]
    jobs: list[Job]

    def __call__(self, job: Job) -> Outcome:
        self.jobs.append(job)
        return self.worker(job)


def search(
    folder: Path, work: SearchPlan, worker: Callable[[Job], Outcome] | None = None, **options: Any
) -> tuple[SearchResult, list[Job]]:
    """Runs a search in a folder; returns its result and the jobs that were really done."""
    counting = Counting(worker or Analytic(), [])
    with RunStore.open(folder, {}, {}) as store:
        result = run(work, executors.make("local", lambda: counting), store, **options)
    return result, counting.jobs


def status(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "status.json").read_text())


def test_baselines_come_first_by_name(tmp_path: Path) -> None:
    _, jobs = search(tmp_path, plan("nsga2"))
    store = RunStore.read(tmp_path)
    first = store.evaluations("search")[:4]
    assert [e.name for e in first] == ["base", "expert:north", "expert:south", "uniform"]
    assert [(e.batch, e.index) for e in first] == [(0, 0), (0, 1), (0, 2), (0, 3)]
    assert [job.recipe.sources for job in jobs[:4]] == [(BASE,), (MODELS[0],), (MODELS[1],), MODELS]
    assert {e.items for e in store.evaluations("search")} == {10}, "all on the same items"
    assert all(e.name is None for e in store.evaluations("search")[4:])


def test_candidates_are_kept_where_they_were_asked(tmp_path: Path) -> None:
    work = plan("nsga2", evaluations=20)
    result, _ = search(tmp_path, work)
    candidates = [e for e in RunStore.read(tmp_path).evaluations("search") if e.batch]
    assert (result.reason, result.evaluations, result.batches) == ("evaluations", 20, 2)
    assert result.cut, "the third batch was begun"
    assert Counter(e.batch for e in candidates) == {1: 8, 2: 8, 3: 4}
    assert [e.index for e in candidates if e.batch == 3] == [0, 1, 2, 3]
    assert work.starts is not None
    assert [candidates[i].digest for i in (0, 1)] == [work.genome.decode(x).digest for x in work.starts]
    assert status(tmp_path)["phase"] == "done"


def test_nothing_is_scored_twice(tmp_path: Path) -> None:
    """A coarse genome, so that the searcher proposes some recipes again and again."""

    class Rounded:
        name = "rounded"

        def __init__(self) -> None:
            self.random = np.random.default_rng(0)
            self.told = 0

        def ask(self, n: int | None = None) -> list[Proposal]:
            return [Proposal(str(i), x) for i, x in enumerate(self.random.integers(0, 3, (8, 2)) / 2.0)]

        def tell(self, observations: Sequence[Observation]) -> None:
            assert [o.id for o in observations] == [str(i) for i in range(8)]
            assert {(o.F.shape, o.G.shape, o.items) for o in observations} == {((2,), (1,), 10)}, "repeats are told"
            self.told += 1

    searcher = Rounded()
    work = replace(plan("nsga2", depth="model", evaluations=99), searcher=lambda *_: searcher)
    result, jobs = search(tmp_path, work)
    assert max(Counter((job.recipe.digest, job.split) for job in jobs).values()) == 1
    assert result.reason == "exhausted"
    assert result.evaluations == 9, "all there are, and no repeat was counted"
    assert searcher.told == result.batches > EMPTY_BATCHES
    again, jobs = search(tmp_path, replace(work, searcher=lambda *_: Rounded()))
    assert jobs == []
    assert again == result


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


def test_infeasible_and_failed_candidates_are_never_on_the_front(tmp_path: Path) -> None:
    limit = Constraint("north.acc >= base + 0.4", "north.acc", ">=", 0.4, "base")
    result, _ = search(tmp_path, plan("nsga2", evaluations=60, constraints=(limit,)), Analytic(broken=0.3))
    records = RunStore.read(tmp_path).evaluations("search")
    base = next(e for e in records if e.name == "base")
    candidates = [e for e in records if e.batch]
    infeasible = [e for e in candidates if e.metrics and e.metrics["north.acc"] < base.metrics["north.acc"] + 0.4]
    assert any(e.error for e in candidates)
    assert infeasible
    assert result.front
    assert not {e.digest for e in result.front} & {e.digest for e in candidates if e.error or e in infeasible}


def test_no_feasible_candidate_is_an_empty_front(tmp_path: Path) -> None:
    impossible = Constraint("north.acc >= 2", "north.acc", ">=", 2.0)
    result, _ = search(tmp_path, plan("nsga2", constraints=(impossible,)))
    assert result.front == ()
    assert [e.name for e in result.confirmed] == ["base", "expert:north", "expert:south", "uniform"]


def test_failures_in_a_row_end_the_run_with_the_first_shown(tmp_path: Path) -> None:
    work = replace(plan("nsga2"), max_failures=5)
    failing = Analytic(everything_fails=True)
    with pytest.raises(
        RepeatedFailures, match=r"5 candidates in a row failed; the first: nonfinite: weight .* is cursed"
    ):
        search(tmp_path, work, failing)
    failures = [e for e in RunStore.read(tmp_path).evaluations() if e.error]
    # The uniform average comes first in the row: it is a merge too.
    assert [(e.batch, e.index) for e in failures] == [(0, 3), (1, 0), (1, 1), (1, 2), (1, 3)]
    assert (status(tmp_path)["reason"], status(tmp_path)["finished"]) == ("failures", False)
    with pytest.raises(RepeatedFailures, match="6 candidates in a row"):
        search(tmp_path, work, failing)
    assert len(RunStore.read(tmp_path).evaluations()) == 3 + 6, "each new start tries one candidate more"
    result, _ = search(tmp_path, work)
    assert result.reason == "evaluations", "and when the cause is gone, the run goes on"


def test_the_row_follows_the_order_of_asks_not_of_outcomes(tmp_path: Path) -> None:
    """Outcomes that come backwards: the good first candidate, heard last, ends no row but stands before it."""

    class Backwards:
        capacity = 1

        def __init__(self) -> None:
            self.jobs: list[Job] = []

        def submit(self, job: Job) -> None:
            self.jobs.append(job)

        def results(self) -> Iterator[Result]:
            while self.jobs:
                job, index = self.jobs.pop(), len(self.jobs)
                fails = len(job.recipe.sources) > 1 and index > 0
                outcome = Outcome(error=Failure("error", f"number {index}")) if fails else Analytic()(job)
                yield Result(job.id, 1, "backwards", outcome)

        def cancel(self, job: str) -> None:
            self.jobs = [other for other in self.jobs if other.id != job]

        def close(self) -> None:
            pass

    with RunStore.open(tmp_path, {}, {}) as store, pytest.raises(RepeatedFailures, match="the first: error: number 1"):
        run(replace(plan("nsga2"), max_failures=4), Backwards(), store)


def test_scores_that_are_not_finite_are_failures(tmp_path: Path) -> None:
    def worker(job: Job) -> Outcome:
        outcome = Analytic()(job)
        if len(job.recipe.sources) > 1 and job.recipe.digest[0] in "0123":
            nan = [
                replace(r, metrics={m: float("nan") for m in r.metrics}) for r in outcome.responses if r.task == "south"
            ]
            return replace(outcome, responses=(*(r for r in outcome.responses if r.task == "north"), *nan))
        return outcome

    search(tmp_path, plan("nsga2"), worker)
    failures = [e for e in RunStore.read(tmp_path).evaluations() if e.error]
    assert failures
    assert {e.error.message for e in failures if e.error} == {"a score is not finite: south.loss = nan"}
    assert all(e.metrics == {} for e in failures)


def test_confirmation_scores_baselines_and_finalists_once_on_the_test_split(tmp_path: Path) -> None:
    work = replace(plan("nsga2", evaluations=48), finalists=3)
    result, jobs = search(tmp_path, work)
    tested = RunStore.read(tmp_path).evaluations("test")
    assert list(result.confirmed) == tested
    assert [e.name for e in tested] == ["base", "expert:north", "expert:south", "uniform", None, None, None]
    assert {e.digest for e in tested[4:]} <= {e.digest for e in result.front}
    assert {(e.batch, e.items) for e in tested} == {(result.batches, 14)}
    assert [dict(job.items) for job in jobs if job.split == "test"] == [ITEMS["test"]] * 7
    further, jobs = search(tmp_path, replace(work, budgets=Budgets(evaluations=64)))
    assert max(Counter(e.digest for e in RunStore.read(tmp_path).evaluations("test")).values()) == 1
    assert not [job for job in jobs if job.split == "test" and job.recipe.sources != MODELS], (
        "baselines keep their scores"
    )
    assert [e.name for e in further.confirmed[:4]] == ["base", "expert:north", "expert:south", "uniform"]


def test_no_confirmation_without_finalists_or_items(tmp_path: Path) -> None:
    for name, work in {
        "finalists": replace(plan("nsga2", evaluations=8), finalists=0),
        "items": replace(plan("nsga2", evaluations=8), items={**ITEMS, "test": {}}),
    }.items():
        result, jobs = search(tmp_path / name, work)
        assert result.confirmed == ()
        assert not [job for job in jobs if job.split == "test"]


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


def test_records_of_another_search_do_not_replay(tmp_path: Path) -> None:
    search(tmp_path, plan("random", seed=0))
    log = tmp_path / "records" / "main.jsonl"
    lines = log.read_text().splitlines()
    row = json.loads(lines[6])
    assert (row["evaluation"]["batch"], row["evaluation"].pop("index")) == (1, 2)
    for index, recorded in ((99, "it as number 99 of batch 1"), (3, "it as number 3 of batch 1")):
        lines[6] = json.dumps({**row, "evaluation": {**row["evaluation"], "index": index}})
        log.write_text("\n".join(lines) + "\n")
        with pytest.raises(ReplayError, match=rf"as number 2 of batch 1, but the run has recorded {recorded}"):
            search(tmp_path, plan("random", seed=0))
    lines[6] = json.dumps({**row, "evaluation": {**row["evaluation"], "index": 2, "digest": "ab" * 32}})
    log.write_text("\n".join(lines) + "\n")
    with pytest.raises(ReplayError, match="the run has recorded recipe abababababab there"):
        search(tmp_path, plan("random", seed=0))


def test_workers_change_nothing_but_the_time(tmp_path: Path) -> None:
    work = plan("nsga2", evaluations=24)
    search(tmp_path / "here", work, Analytic(broken=0.2))
    executor = executors.make("processes", partial(analytic, 0.2), workers=2)
    try:
        with RunStore.open(tmp_path / "there", {}, {}) as store:
            run(work, executor, store)
    finally:
        executor.close()
    rows = []
    for folder in ("here", "there"):
        store = RunStore.read(tmp_path / folder)
        rows.append([store.responses(e) for e in store.evaluations()])
    assert rows[0] == rows[1]
    folded = [(tmp_path / folder / "evaluations.jsonl").read_bytes() for folder in ("here", "there")]
    assert folded[0] == folded[1]


def test_progress_tells_what_is_known(tmp_path: Path) -> None:
    seen: list[Progress] = []
    result, _ = search(tmp_path, plan("nsga2", evaluations=20), Analytic(broken=0.2), progress=seen.append)
    assert [p.phase for p in seen[:4]] == ["baselines"] * 4
    assert [(p.done, p.total) for p in seen[:4]] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    searching = [p for p in seen if p.phase == "search"]
    assert [(p.done, p.total) for p in searching] == [(n, 20) for n in range(1, 21)]
    last = searching[-1]
    assert last.front == len(result.front)
    assert last.best["south.loss"] == min(e.metrics["south.loss"] for e in result.front)
    assert last.best["north.acc"] == max(e.metrics["north.acc"] for e in result.front)
    assert last.failures == sum(e.error is not None for e in RunStore.read(tmp_path).evaluations("search") if e.batch)
    assert last.remaining == 0.0
    assert searching[0].remaining is not None
    assert searching[0].remaining > 0.0
    confirming = [p for p in seen if p.phase == "confirmation"]
    assert confirming[-1].done == confirming[-1].total == len(result.confirmed)


def test_an_objective_that_is_not_recorded_is_told_after_the_baselines(tmp_path: Path) -> None:
    work = replace(plan("random"), objectives=(Objective("north.f1", ((1.0, "north.f1"),)),))
    with pytest.raises(
        EveryBaselineFailed, match=r"no finite value of north\.f1 \(there are north\.acc, south\.loss\)"
    ):
        search(tmp_path, work)


def test_all_baselines_failing_for_one_reason_end_the_run_and_leave_nothing_behind(tmp_path: Path) -> None:
    def worker(job: Job) -> Outcome:
        raise IndexError(f"index {len(job.recipe.digest) + job.ask.index} is out of range")

    with pytest.raises(EveryBaselineFailed) as caught:
        search(tmp_path, plan("random"), worker)
    assert str(caught.value) == (
        "all 4 baselines failed for the same reason, so it does not lie in the candidates: error: IndexError: index 64 "
        "is out of range (nothing was recorded: once the cause is removed, repeat the command)"
    )
    assert RunStore.read(tmp_path).evaluations() == []
    assert (status(tmp_path)["reason"], status(tmp_path)["finished"]) == ("failures", False)
    result, _ = search(tmp_path, plan("random"))
    assert result.reason == "evaluations"


def test_baselines_that_fail_for_different_reasons_or_beside_one_that_is_scored_are_recorded(tmp_path: Path) -> None:
    def worker(job: Job, broken: tuple[int, ...]) -> Outcome:
        if job.ask.batch == 0 and job.ask.index in broken:
            return Outcome(error=Failure("error", "odd" if job.ask.index % 2 else "even"))
        return Analytic()(job)

    for name, broken in (("some", (0, 2)), ("all", (0, 1, 2, 3))):
        search(tmp_path / name, plan("random", evaluations=8), partial(worker, broken=broken))
        records = RunStore.read(tmp_path / name).evaluations("search")
        assert [e.error is not None for e in records[:4]] == [index in broken for index in range(4)]
        assert len(records) == 4 + 8
        tested = RunStore.read(tmp_path / name).evaluations("test")
        assert [e.error is not None for e in tested[:4]] == [index in broken for index in range(4)], "it is final"


def test_a_searcher_that_does_not_fit_says_so(tmp_path: Path) -> None:
    work = replace(plan("nsga2"), objectives=plan("ga").objectives)
    with pytest.raises(InputError, match="searcher nsga2 is for several objectives and there is 1"):
        search(tmp_path, work)
