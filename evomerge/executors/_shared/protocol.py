"""What search asks of an executor, and the one way a worker is called."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Protocol

from evomerge.evaluation import Failure, Job, Outcome

__all__ = ["Executor", "ExecutorError", "MakeWorker", "Worker", "call"]

Worker = Callable[[Job], Outcome]
MakeWorker = Callable[[], Worker]


class ExecutorError(RuntimeError):
    """No worker could be started: the machinery failed, not a candidate, and nothing is to be recorded."""


class Executor(Protocol):
    """Runs jobs somewhere."""

    def run(self, jobs: Sequence[Job]) -> Generator[tuple[int, Outcome], None, None]:
        """Runs jobs and yields ``(index of the job, outcome)`` as they come, in any order, each once.

        Closing the generator abandons what is still running. A job that keeps killing its workers is a failed outcome.

        Raises:
            ExecutorError: if no worker could be started, whatever the candidates are like.
        """
        ...

    def close(self) -> None:
        """Ends every worker and waits until it is gone; may be called twice."""
        ...


def call(worker: Worker, job: Job) -> Outcome:
    """Calls a worker; what it raises becomes a failed outcome, as one bad candidate must not end a run."""
    try:
        return worker(job)
    except MemoryError as error:
        return Outcome(error=Failure("oom", f"MemoryError: {error}"))
    except Exception as error:
        return Outcome(error=Failure("error", f"{type(error).__name__}: {error}"))
