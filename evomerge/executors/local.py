"""Jobs one after the other, in this process."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from evomerge.evaluation import Job, Outcome
from evomerge.executors._shared.protocol import MakeWorker, Worker, call

__all__ = ["InProcess", "in_process"]


class InProcess:
    """Runs jobs in the calling process; the worker is made when the first job comes.

    Args:
        make_worker: Makes the worker.
    """

    def __init__(self, make_worker: MakeWorker) -> None:
        self._make_worker = make_worker
        self._worker: Worker | None = None

    def run(self, jobs: Sequence[Job]) -> Generator[tuple[int, Outcome], None, None]:
        """Runs jobs in order; a job starts when its outcome is asked for."""
        for index, job in enumerate(jobs):
            if self._worker is None:
                self._worker = self._make_worker()
            yield index, call(self._worker, job)

    def close(self) -> None:
        """Drops the worker."""
        self._worker = None


def in_process(make_worker: MakeWorker) -> InProcess:
    """An executor that runs jobs here, one after the other."""
    return InProcess(make_worker)
