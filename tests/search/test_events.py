"""Events: what is told to listeners and kept, in order, and once."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evomerge import executors
from evomerge.contracts.watching import wait_for
from evomerge.evaluation import Ask, Failure, Job, Outcome
from evomerge.executors import Worker, WorkerState
from evomerge.executors.local import LocalExecutor
from evomerge.search import Budgets, EveryBaselineFailed, RoundSettings, run
from evomerge.search.events import Asked, Ended, Event, Failed, Phase, Promoted, Retried, Scored, Told
from evomerge.search.status import live
from evomerge.search.status.stopwatch import Stopwatch
from evomerge.store import RunStore
from tests.search.analytic import Analytic, plan
from tests.search.sessions import search, status

WORK = replace(plan("nsga2", evaluations=20), finalists=2)


def log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def test_events_tell_a_search_from_beginning_to_end(tmp_path: Path) -> None:
    heard: list[Event] = []
    result, _ = search(tmp_path, WORK, Analytic(broken=0.2), listeners=[heard.append])
    assert all(event.fresh for event in heard)
    phases = [event for event in heard if isinstance(event, Phase)]
    assert [(p.phase, p.total) for p in phases] == [
        ("baselines", 4), ("search", 20), ("selection", 4 + 4), ("confirmation", len(result.confirmed)),
    ]  # fmt: skip
    scored = [event.evaluation for event in heard if isinstance(event, Scored)]
    assert sorted(scored, key=lambda e: e.order) == [
        replace(e, told=None) for e in RunStore.read(tmp_path).evaluations()
    ]
    failed = [event.evaluation for event in heard if isinstance(event, Failed)]
    assert failed == [e for e in scored if e.error]
    assert failed
    batches = [event for event in heard if isinstance(event, Asked) and event.split == "search"]
    assert [(a.batch, a.recipes, a.jobs) for a in batches] == [(0, 4, 4), (1, 8, 8), (2, 8, 8), (3, 8, 4)]
    assert [(t.batch, t.evaluations) for t in heard if isinstance(t, Told)] == [(1, 8), (2, 16)], "the third was cut"
    promoted = {event.split: event.digests for event in heard if isinstance(event, Promoted)}
    assert promoted["selection"] == tuple(e.digest for e in result.selected if e.name is None)
    assert promoted["test"] == tuple(e.digest for e in result.confirmed if e.name is None)
    assert heard[-1] == Ended("evaluations")
    kept = log(tmp_path)
    assert [row["event"] for row in kept] == [event.name for event in heard]
    assert [row["digest"] for row in kept if row["event"] in ("scored", "failed")] == [e.digest[:12] for e in scored]
    assert {(row["kind"], row["message"]) for row in kept if row["event"] == "failed"} == {
        (e.error.kind, e.error.message) for e in failed if e.error
    }
    assert [row["time"] for row in kept] == sorted(row["time"] for row in kept)


def test_a_replay_is_heard_but_not_kept_again(tmp_path: Path) -> None:
    search(tmp_path, WORK)
    before = len(log(tmp_path))
    heard: list[Event] = []
    further = replace(WORK, budgets=Budgets(evaluations=24))
    search(tmp_path, further, listeners=[heard.append])
    told = [event for event in heard if isinstance(event, Told)]
    assert [(t.batch, t.fresh) for t in told] == [(1, False), (2, False), (3, True)]
    scored = Counter(event.fresh for event in heard if isinstance(event, Scored) and event.evaluation.split == "search")
    assert scored == {False: 4 + 20, True: 4}
    new = log(tmp_path)[before:]
    assert Counter(row["event"] for row in new if row.get("split") == "search") == {"asked": 1, "scored": 4}
    assert [row["phase"] for row in new if row["event"] == "phase"] == [
        "baselines", "search", "selection", "confirmation",
    ]  # fmt: skip


def test_a_promotion_that_asks_nobody_is_no_new_event(tmp_path: Path) -> None:
    search(tmp_path, WORK)
    heard: list[Event] = []
    search(tmp_path, WORK, listeners=[heard.append])
    assert [event.fresh for event in heard if isinstance(event, Promoted)] == [False, False]
    assert [row["event"] for row in log(tmp_path)].count("promoted") == 2


def test_the_status_says_how_far_a_run_is_as_soon_as_a_replay_is_over(tmp_path: Path) -> None:
    search(tmp_path, WORK)
    seen: list[dict[str, Any]] = []

    def worker(job: Job) -> Outcome:
        seen.append(status(tmp_path))
        return Analytic()(job)

    search(tmp_path, replace(WORK, budgets=Budgets(evaluations=24)), worker)
    assert (seen[0]["phase"], seen[0]["batches"], seen[0]["evaluations"]) == ("search", 2, 20)


def test_the_status_goes_on_though_workers_cannot_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As while the file system of a shared folder is away, whoever asks."""
    monkeypatch.setattr(live, "_TICK", 0.01)

    class Away(LocalExecutor):
        asked = 0

        def workers(self) -> Sequence[WorkerState]:
            self.asked += 1
            if self.asked > 1:
                raise PermissionError
            return [WorkerState("far", "away", None, 0.0, 0, 0.0, ready=True)]

    executor = Away(Analytic)
    with RunStore.open(tmp_path, {}, {}) as store:
        status = live.LiveStatus(store, Stopwatch(store), executor, RoundSettings())
        status(Phase("search", 0))
        status(Asked("search", 1, 1, 1, ()))
        wait_for(lambda: executor.asked > 4, 10.0)
        status(Phase("test", 0))
        status.close()
    found = json.loads((tmp_path / "status.json").read_text())
    assert (found["phase"], [worker["name"] for worker in found["session"]["workers"]]) == ("test", ["far"])


def test_a_torn_event_is_dropped(tmp_path: Path) -> None:
    search(tmp_path, WORK)
    kept = log(tmp_path)
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"event":"sco')
    search(tmp_path, WORK)
    assert log(tmp_path)[: len(kept)] == kept


class DyingOnce:
    """Makes analytic workers; the one that is given a certain place of the search first is killed on it."""

    def __init__(self, folder: Path) -> None:
        self.trace = folder / "died"

    def __call__(self) -> Worker:
        return self.work

    def work(self, job: Job) -> Outcome:
        if job.ask == Ask("search", 1, 2) and not self.trace.exists():
            self.trace.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return Analytic()(job)


def test_a_job_that_cost_a_worker_is_told_with_its_attempts(tmp_path: Path) -> None:
    heard: list[Event] = []
    executor = executors.make("processes", DyingOnce(tmp_path), workers=1)
    try:
        with RunStore.open(tmp_path / "run", {}, {}) as store:
            run(plan("random", evaluations=8), executor, store, listeners=[heard.append])
    finally:
        executor.close()
    retried = [event for event in heard if isinstance(event, Retried)]
    assert [(event.ask, event.attempt) for event in retried] == [(Ask("search", 1, 2), 2)]
    store = RunStore.read(tmp_path / "run")
    evaluation = store.at(Ask("search", 1, 2))
    assert evaluation is not None
    assert retried[0].job == f"search-1-2-0-{evaluation.digest[:12]}"
    assert evaluation.error is None
    assert store.provenance(evaluation).attempt == 2
    assert store.provenance(evaluation).worker
    assert [row["attempt"] for row in log(tmp_path / "run") if row["event"] == "retried"] == [2]


def test_the_end_says_how_it_came(tmp_path: Path) -> None:
    def worker(job: Job) -> Outcome:
        return Outcome(error=Failure("error", "no"))

    with pytest.raises(EveryBaselineFailed):
        search(tmp_path / "failing", WORK, worker)
    assert log(tmp_path / "failing")[-1]["reason"] == "failures"
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "stopped", WORK, stop=lambda: "now")
    assert log(tmp_path / "stopped")[-1]["reason"] == "interrupted"
