"""The contract of executors: every job ends once, whatever dies; nothing is left behind."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from evomerge.contracts import workers
from evomerge.contracts.watching import gone, raised, wait_for
from evomerge.errors import InputError
from evomerge.evaluation import Job
from evomerge.executors import Executor, ExecutorError, ExecutorSpec, MakeWorker, Result, run

__all__ = ["ExecutorContract", "Made", "OwnWorkersContract", "ProcessContract", "WorkerContract"]


class Made:
    """An executor made from its declaration.

    Attributes:
        spec: The executor under test.
        options: Its options for these tests; those left out have their defaults.
    """

    spec: ExecutorSpec
    options: dict[str, Any] = {}  # noqa: RUF012  read alone

    def job(self, number: int) -> Job:
        """A job that the executor can answer; two numbers, two jobs."""
        return workers.job(number)

    @contextmanager
    def made(self, make_worker: MakeWorker = workers.make_square, **more: Any) -> Iterator[Executor]:
        """The executor with these options and more, closed in the end."""
        assert self.spec.problems(self.options | more) == []
        executor = self.spec.make(make_worker, self.spec.complete(self.options | more))
        try:
            with self.joined(make_worker):
                yield executor
        finally:
            executor.close()

    def joined(self, make_worker: MakeWorker) -> AbstractContextManager[object]:
        """Workers that work while this is entered, for executors whose workers are started by others: overridden."""
        assert not self.spec.external, f"start workers that {self.spec.name} can give jobs to"
        return nullcontext()

    def ended(self, executor: Executor, numbers: range) -> dict[str, Result]:
        """Job id to result of a batch; each job ends once."""
        results = list(run(executor, [self.job(number) for number in numbers]))
        found = {result.job: result for result in results}
        assert len(found) == len(results)
        assert found.keys() == {self.job(number).id for number in numbers}
        return found


class ExecutorContract(Made):
    """Promises of every executor. One that needs no model is given jobs that it can answer by overriding `job`."""

    def test_declaration_is_whole(self) -> None:
        """Options have help and defaults that are accepted; unknown ones are refused."""
        assert self.spec.title
        for name, option in self.spec.options.items():
            assert option.doc, f"option {name} has no help"
            assert option.problem(name, option.default) is None
        assert self.spec.problems({"no such option": 1})

    def test_every_job_ends_once(self) -> None:
        """With its own outcome, on the first attempt, again and again; an empty batch ends at once."""
        with self.made() as executor:
            assert list(run(executor, [])) == []
            for numbers in (range(7), range(2), range(5, 9)):
                for result in self.ended(executor, numbers).values():
                    assert result.attempt == 1
                    assert result.worker
                    assert result.outcome.error is None, result.outcome.error

    def test_outcomes_are_the_same_every_time(self) -> None:
        """Whichever worker a job went to, and whatever went before it."""
        with self.made() as executor:
            first, again = (self.ended(executor, range(6)) for _ in range(2))
        with self.made() as executor:
            other = self.ended(executor, range(6))
        for id in first:
            responses = [found[id].outcome.responses for found in (first, again, other)]
            assert responses[0] == responses[1] == responses[2]

    def test_an_id_is_outstanding_once(self) -> None:
        """The same job may be submitted again when it has ended, not before."""
        with self.made() as executor:
            executor.submit(self.job(1))
            assert self.job(1).id in str(raised(ValueError, lambda: executor.submit(self.job(1))))
            assert [result.job for result in executor.results()] == [self.job(1).id]
            executor.submit(self.job(1))
            assert [result.job for result in executor.results()] == [self.job(1).id]

    def test_jobs_may_be_submitted_between_results(self) -> None:
        """As a search without batches does, as many as there is room for."""
        with self.made() as executor:
            assert executor.capacity >= 1
            for number in range(executor.capacity):
                executor.submit(self.job(number))
            ended = []
            for submitted, result in enumerate(executor.results(lambda: None), executor.capacity):
                ended.append(result.job)
                if submitted < 8:
                    executor.submit(self.job(submitted))
            assert sorted(ended) == sorted(self.job(number).id for number in range(max(8, executor.capacity)))

    def test_cancelled_jobs_have_no_result(self) -> None:
        """Those that wait, also between two results; ids that are not outstanding are ignored."""
        with self.made() as executor:
            for number in range(8):
                executor.submit(self.job(number))
            executor.cancel(self.job(7).id)
            executor.cancel(self.job(7).id)
            executor.cancel("stranger")
            results = executor.results()
            first = next(results).job
            rest = [self.job(number).id for number in range(7) if self.job(number).id != first]
            for id in rest[:-1]:
                executor.cancel(id)
            assert [result.job for result in results] == rest[-1:]
            assert len(self.ended(executor, range(3))) == 3, "and it can be used again"

    def test_leaving_a_batch_early_cancels_the_rest(self) -> None:
        """And the next batch has results of its own jobs alone."""
        with self.made() as executor:
            with closing(run(executor, [self.job(number) for number in range(6)])) as results:
                next(results)
            assert len(self.ended(executor, range(10, 13))) == 3

    def test_workers_say_what_they_are_at(self) -> None:
        """There are none before the first job but those that others started; what each did is counted."""
        with self.made() as executor:
            assert self.spec.external or list(executor.workers()) == []
            executor.submit(self.job(0))
            states = [state for _ in executor.results() for state in executor.workers()]
            self.ended(executor, range(1, 6))
            states = [*states, *executor.workers()]
            assert states
            assert sum(state.done for state in executor.workers()) == 6
            for state in states:
                assert state.name
                assert state.place
                assert state.seconds >= 0.0
                assert state.busy >= 0.0
            assert {state.job for state in executor.workers()} == {None}
            assert any(state.ready and state.busy > 0.0 for state in executor.workers())

    def test_close_gives_up_what_is_outstanding(self) -> None:
        """May be called twice; a closed executor starts again."""
        with self.made() as executor:
            executor.submit(self.job(0))
            executor.close()
            executor.close()
            assert list(executor.results()) == []
            assert len(self.ended(executor, range(3))) == 3


class WorkerContract(Made):
    """Further promises of executors that call workers (`ExecutorSpec.needs_model`)."""

    def test_outcomes_are_the_workers(self) -> None:
        """Each job's own."""
        with self.made() as executor:
            found = self.ended(executor, range(5))
        squares = {workers.number(id): workers.answer(result.outcome) for id, result in found.items()}
        assert squares == {number: number**2 for number in range(5)}

    def test_an_exception_is_one_failed_candidate(self) -> None:
        """Out of memory is told apart from other errors; no failure that a worker lived to tell is tried again."""
        with self.made(workers.make_raising) as executor:
            found = self.ended(executor, range(4))
        errors = {workers.number(id): r.outcome.error for id, r in found.items() if r.outcome.error}
        kinds = {number: (error.kind, error.message) for number, error in errors.items()}
        assert kinds == {1: ("oom", "MemoryError: no room"), 2: ("error", "RuntimeError: no luck")}
        assert {result.attempt for result in found.values()} == {1}


class OwnWorkersContract(Made):
    """Further promises of those that start their workers themselves, and so hear why one cannot be made."""

    def test_bad_input_found_by_a_worker_is_told_whole(self) -> None:
        """A worker that cannot be made because of the user's input ends the batch with every problem."""
        with self.made(workers.make_refusing) as executor:
            error = raised(InputError, lambda: list(run(executor, [self.job(0)])))
        assert error.problems == ("the first thing", "the second thing")

    def test_a_worker_that_cannot_be_made_is_no_candidates_fault(self) -> None:
        """Nothing is an outcome then."""
        with self.made(workers.make_broken) as executor:
            assert "the disk is gone" in str(raised(ExecutorError, lambda: list(run(executor, [self.job(0)]))))


class ProcessContract(Made):
    """Further promises of executors with `ExecutorSpec.local_processes`; `make` lies beside its ``EXECUTOR``."""

    def test_a_killed_worker_is_replaced_and_its_job_tried_again(self, tmp_path: Path) -> None:
        """The attempt is counted; a job that kills every worker is one failed candidate, and the others go on."""
        with self.made(functools.partial(workers.Dying, tmp_path, once=(1, 4), always=(3,))) as executor:
            found = {workers.number(id): result for id, result in self.ended(executor, range(6)).items()}
        assert {number: result.attempt for number, result in found.items()} == {0: 1, 1: 2, 2: 1, 3: 2, 4: 2, 5: 1}
        assert [number for number, result in found.items() if result.outcome.error] == [3]
        failure = found[3].outcome.error
        assert failure is not None
        assert failure.kind == "oom"
        assert "tried 2 times" in failure.message

    def test_memory_is_blamed_for_a_killed_worker_alone(self) -> None:
        """A worker that ends by itself has failed for a reason that is not known."""
        with self.made(workers.make_leaving) as executor:
            failure = self.ended(executor, range(1))[self.job(0).id].outcome.error
        assert failure is not None
        assert failure.kind == "error"
        assert "exit code 3" in failure.message

    def test_workers_that_die_while_they_are_made_are_no_candidates_fault(self) -> None:
        """Nothing is an outcome then."""
        with self.made(workers.make_stillborn) as executor:
            assert str(raised(ExecutorError, lambda: list(run(executor, [self.job(0)]))))

    def test_a_running_job_can_be_cancelled(self, tmp_path: Path) -> None:
        """Its worker is ended; the other jobs end as if it had never been there."""
        with self.made(functools.partial(workers.Sleeping, tmp_path, (1,))) as executor:
            executor.submit(self.job(0))
            results = executor.results()
            assert next(results).job == self.job(0).id
            executor.submit(self.job(1))
            executor.submit(self.job(2))
            if executor.capacity > 1:
                assert next(results).job == self.job(2).id
            wait_for(functools.partial(_asleep, tmp_path))
            executor.cancel(self.job(1).id)
            assert [result.job for result in results] == [self.job(2).id] * (executor.capacity == 1)
            assert all(gone(int(trace.stem)) for trace in tmp_path.glob("*.asleep"))

    def test_no_worker_outlives_close(self, tmp_path: Path) -> None:
        """Neither an idle one nor one in the middle of a job."""
        with self.made(functools.partial(workers.Sleeping, tmp_path, (1,))) as executor:
            executor.submit(self.job(0))
            next(executor.results())
            executor.submit(self.job(1))
            if executor.capacity > 1:
                executor.submit(self.job(2))
                next(executor.results())
            wait_for(functools.partial(_asleep, tmp_path))
        assert all(gone(int(trace.stem)) for trace in tmp_path.glob("*.pid"))

    def test_no_worker_outlives_the_program(self, tmp_path: Path) -> None:
        """SIGKILL hits the program alone; SIGINT, as from a terminal, the whole group, and only the program answers."""
        for blow in (signal.SIGKILL, signal.SIGINT):
            folder = tmp_path / blow.name
            folder.mkdir()
            program = workers.sleeping_program(self.spec, self.options, folder)
            wait_for(functools.partial(_asleep, folder))
            os.kill(program.pid, blow) if blow == signal.SIGKILL else os.killpg(program.pid, blow)
            out, errors = program.communicate()
            for trace in folder.glob("*.pid"):
                wait_for(functools.partial(gone, int(trace.stem)))
            if blow == signal.SIGINT:
                assert (program.returncode, out, errors) == (0, "interrupted and closed\n", "")


def _asleep(folder: Path) -> bool:
    return any(folder.glob("*.asleep"))
