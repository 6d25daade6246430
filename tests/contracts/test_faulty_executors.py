"""Each of these executors breaks one promise, and the test of that promise finds it out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evomerge import executors
from evomerge.contracts.executor import ExecutorContract, ProcessContract, WorkerContract
from evomerge.evaluation import Outcome, Response
from evomerge.executors import ExecutorError, Result, WorkerState
from evomerge.executors._shared.attempts import Death
from evomerge.executors._shared.member import Member
from evomerge.executors.local import LocalExecutor
from evomerge.executors.processes import Processes

COUNTER = itertools.count()


class _Loses(LocalExecutor):
    def results(self, room: Callable[[], None] | None = None) -> Iterator[Result]:
        return itertools.islice(super().results(), 1)


class _Repeats(LocalExecutor):
    def results(self, room: Callable[[], None] | None = None) -> Iterator[Result]:
        return (result for one in super().results() for result in (one, one))


class _CountsFromZero(LocalExecutor):
    def results(self, room: Callable[[], None] | None = None) -> Iterator[Result]:
        return (replace(one, attempt=0) for one in super().results())


class _TakesTwice(LocalExecutor):
    def submit(self, job: Any) -> None:
        if job.id not in self._waiting:
            super().submit(job)


class _KeepsCancelled(LocalExecutor):
    def cancel(self, job: str) -> None:
        pass


class _KeepsOutstanding(LocalExecutor):
    def close(self) -> None:
        self._worker = None


class _Drifts(LocalExecutor):
    def results(self, room: Callable[[], None] | None = None) -> Iterator[Result]:
        for one in super().results():
            response = Response("task", "item", {"square": next(COUNTER)})
            yield replace(one, outcome=Outcome((response,)))


class _FixedBatch(LocalExecutor):
    def results(self, room: Callable[[], None] | None = None) -> Iterator[Result]:
        return iter(list(super().results()))


class _CountsNothing(LocalExecutor):
    def workers(self) -> Sequence[WorkerState]:
        return [replace(state, done=0) for state in super().workers()]


class _NeverRetries(Processes):
    def _bury(self, member: Member, death: Death) -> Result | None:
        if member.job is not None:
            self._attempts.died(member.job, "one before it", Death("went"))
        return super()._bury(member, death)


class _LeavesWorkersBehind(Processes):
    def close(self) -> None:
        self._jobs.clear()
        self._waiting.clear()
        LEFT.extend(self._members)
        self._members = []


LEFT: list[Member] = []
EXECUTORS: list[tuple[Callable[..., Any], str]] = [
    (_Loses, "test_every_job_ends_once"),
    (_Repeats, "test_every_job_ends_once"),
    (_CountsFromZero, "test_every_job_ends_once"),
    (_TakesTwice, "test_an_id_is_outstanding_once"),
    (_KeepsCancelled, "test_cancelled_jobs_have_no_result"),
    (_KeepsCancelled, "test_leaving_a_batch_early_cancels_the_rest"),
    (_KeepsOutstanding, "test_close_gives_up_what_is_outstanding"),
    (_Drifts, "test_outcomes_are_the_same_every_time"),
    (_CountsNothing, "test_workers_say_what_they_are_at"),
    (_FixedBatch, "test_jobs_may_be_submitted_between_results"),
]


class _Both(ExecutorContract, WorkerContract):
    pass


@pytest.mark.parametrize(("fault", "test"), EXECUTORS)
def test_a_faulty_executor_is_found_out(fault: Callable[..., Any], test: str) -> None:
    contract = _Both()
    contract.spec = executors.load("local")
    getattr(contract, test)()
    contract.spec = replace(contract.spec, make=lambda make_worker, options: fault(make_worker))
    with pytest.raises((AssertionError, ExecutorError)):
        getattr(contract, test)()


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        (_NeverRetries, "test_a_killed_worker_is_replaced_and_its_job_tried_again"),
        (_LeavesWorkersBehind, "test_no_worker_outlives_close"),
    ],
)
def test_a_faulty_executor_with_processes_is_found_out(fault: type[Processes], test: str, tmp_path: Path) -> None:
    contract = ProcessContract()
    good = executors.load("processes")
    contract.spec = replace(good, make=lambda make_worker, options: fault(make_worker, 2))
    try:
        with pytest.raises(AssertionError):
            getattr(contract, test)(tmp_path)
    finally:
        for member in LEFT:
            member.end(0.0)
        LEFT.clear()
