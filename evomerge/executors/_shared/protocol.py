"""The protocol of executors: jobs in, results out; and what is built on it: a batch, and the call of a worker."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from evomerge.evaluation import Failure, Job, Outcome, Unusable

__all__ = ["Executor", "ExecutorError", "MakeWorker", "Result", "Worker", "WorkerState", "call", "run"]

Worker = Callable[[Job], Outcome]
MakeWorker = Callable[[], Worker]


class ExecutorError(RuntimeError):
    """The machinery failed, not a candidate: no worker could be started, or results were lost. Nothing is recorded."""


@dataclass(frozen=True)
class Result:
    """The end of a job.

    Attributes:
        job: The job's id.
        attempt: How often the job had been given to a worker, 1 or more.
        worker: Name of the worker that it ended with.
        outcome: The outcome; a failure if each attempt cost the worker its life.
    """

    job: str
    attempt: int
    worker: str
    outcome: Outcome


@dataclass(frozen=True)
class WorkerState:
    """One worker as it is now; counts and times are those of this session.

    Attributes:
        name: Its name, as in `Result.worker`.
        place: Host and device, for people, such as ``node7 cuda:1``.
        job: Id of the job it is at, or None.
        seconds: Since it took that job, or since it fell idle.
        done: Jobs that ended with it.
        busy: Seconds at jobs, the one it is at included.
        ready: Whether it is made; one that is being started is not.
    """

    name: str
    place: str
    job: str | None
    seconds: float
    done: int
    busy: float
    ready: bool


class Executor(Protocol):
    """Runs jobs somewhere. Outcomes depend on their jobs alone, so where and in which order they run changes nothing.

    A job is outstanding from `submit` until its result has been yielded or it is cancelled.
    """

    @property
    def capacity(self) -> int:
        """Jobs that run at one time when there are enough of them; 1 or more."""
        ...

    def submit(self, job: Job) -> None:
        """Takes a job; it starts when a worker is free, at the latest when results are asked for.

        Raises:
            ValueError: If a job of that id is outstanding.
            ExecutorError: If no worker could be started for it; the job is not outstanding then.
        """
        ...

    def results(self, room: Callable[[], None] | None = None) -> Iterator[Result]:
        """Yields each outstanding job's result once, as they come; ends when no job is outstanding.

        Jobs may be submitted and cancelled between two results. Leaving the iterator leaves jobs outstanding. A job
        whose worker died is given to another; if that one dies too, it has failed (`Attempts` is the policy). What a
        worker lived to tell is not tried again.

        Args:
            room: Called now and then while none comes and `capacity` has grown beyond the jobs that are outstanding,
                by executors whose workers come and go; it may submit more.

        Raises:
            InputError: If a worker cannot be made because of what the user asked for.
            ExecutorError: If no worker could be started for another reason, whatever the candidates are like; or if a
                job was lost with its worker's machine again and again.
        """
        ...

    def workers(self) -> Sequence[WorkerState]:
        """The workers that there are now, those that are being started included; none before the first job.

        May be asked at any time, from other threads too, and costs little.
        """
        ...

    def cancel(self, job: str) -> None:
        """Gives a job up: no result of it will come, and where it is running its worker is ended if that can be.

        Ids of jobs that are not outstanding are ignored.
        """
        ...

    def close(self) -> None:
        """Gives up what is outstanding, ends every worker and waits until it is gone; may be called twice.

        Another job starts new workers.
        """
        ...


def run(executor: Executor, jobs: Iterable[Job]) -> Generator[Result, None, None]:
    """Runs a batch and yields the results as they come, each once.

    Closing the generator, or an exception, cancels the jobs that have no result yet. No other job may be outstanding.

    Raises:
        InputError: As `Executor.results`.
        ExecutorError: As `Executor.results`; also if results end while jobs are open, or are of other jobs.
    """
    open_jobs: dict[str, None] = {}
    try:
        for job in jobs:
            executor.submit(job)
            open_jobs[job.id] = None
        if open_jobs:
            for result in executor.results():
                if result.job not in open_jobs:
                    raise ExecutorError(f"the executor brought a result of {result.job}, which is not outstanding")
                del open_jobs[result.job]
                yield result
        if open_jobs:
            raise ExecutorError(
                f"the executor lost the results of {len(open_jobs)} jobs, the first: {next(iter(open_jobs))}"
            )
    finally:
        for id in open_jobs:
            executor.cancel(id)


def call(worker: Worker, job: Job) -> Outcome:
    """Calls a worker; an exception becomes a failed outcome, as one bad candidate must not end a run.

    Raises:
        Unusable: If the worker's process computes no more: it died of the job, as far as `Attempts` goes.
    """
    try:
        return worker(job)
    except Unusable:
        raise
    except MemoryError as error:
        return Outcome(error=Failure("oom", f"MemoryError: {error}"))
    except (Exception, SystemExit) as error:  # who calls sys.exit ends one candidate, not the search
        return Outcome(error=Failure("error", f"{type(error).__name__}: {error}"))
