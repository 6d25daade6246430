"""An executor whose jobs end in any order, or in a given one, as on workers of very different speeds."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from evomerge.evaluation import Ask, Job
from evomerge.executors import MakeWorker, Result, WorkerState, call


class Shuffled:
    """Runs jobs in this process, so many of them at work; which of these ends next is drawn by chance.

    Args:
        make_worker: Makes the worker.
        capacity: How many are at work.
        order: The places in the order in which they end; None for one that nothing decides. Places that are not in it
            end last.
    """

    def __init__(self, make_worker: MakeWorker, capacity: int, order: Sequence[Ask] | None = None) -> None:
        self.capacity = capacity
        self.most = 0
        self._worker = make_worker()
        self._rank = None if order is None else {ask: rank for rank, ask in enumerate(order)}
        self._chance = random.SystemRandom()
        self._jobs: dict[str, Job] = {}

    def submit(self, job: Job) -> None:
        assert job.id not in self._jobs
        self._jobs[job.id] = job
        self.most = max(self.most, len(self._jobs))

    def results(self, room: Callable[[], None] | None = None) -> Iterator[Result]:
        while self._jobs:
            id = self._next()
            job = self._jobs.pop(id)
            yield Result(id, 1, "shuffled", call(self._worker, job))

    def _next(self) -> str:
        if self._rank is None:
            return self._chance.choice(list(self._jobs))
        rank = self._rank
        return min(self._jobs, key=lambda id: rank.get(self._jobs[id].ask, len(rank)))

    def workers(self) -> Sequence[WorkerState]:
        return [WorkerState("shuffled", "here", None, 0.0, 0, 0.0, ready=True)]

    def cancel(self, job: str) -> None:
        self._jobs.pop(job, None)

    def close(self) -> None:
        self._jobs.clear()
