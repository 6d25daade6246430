"""Jobs one after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from evomerge.errors import InputError
from evomerge.evaluation import Job, Unusable
from evomerge.executors._shared.occupation import Occupation, place
from evomerge.executors._shared.protocol import Executor, ExecutorError, MakeWorker, Result, Worker, WorkerState, call
from evomerge.executors._shared.spec import ExecutorSpec
from evomerge.options import Option

__all__ = ["EXECUTOR", "LocalExecutor"]


class LocalExecutor:
    """Runs a job when its result is asked for; the worker is made for the first one.

    Args:
        make_worker: Makes the worker.
        name: Name of the worker, for records.
        device: Where models run, for `workers`.
    """

    capacity = 1

    def __init__(self, make_worker: MakeWorker, name: str = "local", device: str = "cpu") -> None:
        self._make_worker = make_worker
        self._name = name
        self._place = place(device)
        self._occupation = Occupation()
        self._worker: Worker | None = None
        self._waiting: dict[str, Job] = {}

    def submit(self, job: Job) -> None:
        """See `Executor.submit`."""
        if job.id in self._waiting:
            raise ValueError(f"job {job.id} is outstanding already")
        self._waiting[job.id] = job

    def results(self, room: Callable[[], None] | None = None) -> Iterator[Result]:
        """Runs jobs in the order in which they were submitted; see `Executor.results`."""
        while self._waiting:
            if self._worker is None:
                self._worker = self._made()
            job = self._waiting.pop(next(iter(self._waiting)))
            self._occupation.took(job.id)
            try:
                outcome = call(self._worker, job)
            except Unusable as error:
                self._waiting[job.id] = job
                raise ExecutorError(
                    f"{error}; run again to go on, with executor=processes, which replaces such workers"
                ) from error
            finally:
                self._occupation.left(ended=True)
            yield Result(job.id, 1, self._name, outcome)

    def poll(self, seconds: float | None = None) -> Result | None:
        """The next result; its job is run now, however long that takes. None where there is no job."""
        return next(self.results(), None)

    def _made(self) -> Worker:
        try:
            return self._make_worker()
        except InputError:
            raise
        except Exception as error:
            raise ExecutorError(f"a worker could not be started: {type(error).__name__}: {error}") from error

    def workers(self) -> Sequence[WorkerState]:
        """See `Executor.workers`; one, as soon as it is made."""
        return [] if self._worker is None else [self._occupation.state(self._name, self._place, ready=True)]

    def cancel(self, job: str) -> None:
        """See `Executor.cancel`."""
        self._waiting.pop(job, None)

    def close(self) -> None:
        """Drops the worker and what is outstanding."""
        self._worker, self._occupation = None, Occupation()
        self._waiting.clear()


def make(make_worker: MakeWorker, options: Mapping[str, Any]) -> Executor:
    """Makes the executor."""
    return LocalExecutor(make_worker, device=options["device"])


EXECUTOR = ExecutorSpec(
    "local",
    "in this process, one candidate after the other",
    make,
    options={"device": Option("cpu", None, str, "where models run; set by model.device")},
    in_process=True,
)
