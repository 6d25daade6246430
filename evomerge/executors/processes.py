"""Jobs in processes of this machine, each started afresh, replaced when it dies."""

from __future__ import annotations

import atexit
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import wait
from typing import Any

from evomerge.evaluation import Job, Outcome
from evomerge.executors._shared.attempts import RETRIES, Attempts
from evomerge.executors._shared.member import Member
from evomerge.executors._shared.occupation import place
from evomerge.executors._shared.protocol import Executor, ExecutorError, MakeWorker, Result, WorkerState
from evomerge.executors._shared.spec import ExecutorSpec
from evomerge.options import Option

__all__ = ["EXECUTOR", "Processes"]

_STILLBORN = 3  # workers in a row that die before they are ready, after which no more are started
_GRACE = 5.0  # seconds a worker gets to leave by itself before it is killed


class Processes:
    """Runs jobs in worker processes, at most ``workers`` at a time, started when jobs come.

    A worker that dies is replaced and its job given to another; a job that costs two workers is a failed candidate,
    and the other jobs go on. A failure that a worker lived to tell is an outcome and is not retried.

    Args:
        make_worker: Picklable; makes the worker inside each process.
        workers: Number of processes, 1 or more.
        retries: See `Attempts`.
    """

    def __init__(self, make_worker: MakeWorker, workers: int, retries: int = RETRIES) -> None:
        self._make_worker = make_worker
        self._workers = workers
        self._members: list[Member] = []
        self._started = 0
        self._stillborn = 0
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[str] = deque()
        self._attempts = Attempts(retries)

    @property
    def capacity(self) -> int:
        """Number of processes."""
        return self._workers

    def submit(self, job: Job) -> None:
        """Gives the job to an idle worker, or starts one where there are too few; see `Executor.submit`."""
        if job.id in self._jobs:
            raise ValueError(f"job {job.id} is outstanding already")
        self._jobs[job.id] = job
        self._waiting.append(job.id)
        try:
            self._start()
        except BaseException:
            self.cancel(job.id)
            raise
        self._hand_out()

    def results(self) -> Iterator[Result]:
        """See `Executor.results`."""
        while self._jobs:
            result = self.poll()
            if result is not None:
                yield result

    def poll(self, seconds: float | None = None) -> Result | None:
        """The next result, if it comes within some seconds; without a limit, None where there was another message."""
        if not self._jobs:
            return None
        self._start()
        self._hand_out()
        for member in self._heard(seconds):
            result = self._hear(member)
            if result is not None:
                self._hand_out()  # so that nobody idles while the outcome is looked at
                return result
        return None

    def cancel(self, job: str) -> None:
        """Forgets the job; a worker that is at it is killed. See `Executor.cancel`."""
        if self._jobs.pop(job, None) is None:
            return
        self._attempts.ended(job)
        if job in self._waiting:
            self._waiting.remove(job)
        for member in [member for member in self._members if member.job == job]:
            self._remove(member)

    def workers(self) -> Sequence[WorkerState]:
        """See `Executor.workers`."""
        where = place("cpu")
        return [member.occupation.state(member.name, where, ready=member.ready) for member in tuple(self._members)]

    def close(self) -> None:
        """See `Executor.close`."""
        atexit.unregister(self.close)
        self._jobs.clear()
        self._waiting.clear()
        self._attempts.clear()
        members, self._members = self._members, []
        for member in members:
            member.pipe.close()
        for member in members:
            member.end(_GRACE if member.ready and member.job is None else 0.0)

    def _start(self) -> None:
        # Workers are no daemons, as metrics may start processes of their own; so nothing else ends them when we exit.
        if not self._members:
            atexit.register(self.close)
        while len(self._members) < min(self._workers, len(self._jobs)):
            self._started += 1
            self._members.append(Member(f"process {self._started}", self._make_worker))

    def _hand_out(self) -> None:
        for member in self._members:
            if self._waiting and member.ready and member.job is None:
                job = self._waiting.popleft()
                member.occupation.took(job)
                self._attempts.given(job)
                try:
                    member.pipe.send(self._jobs[job])
                except (BrokenPipeError, ConnectionResetError):
                    continue  # it died just now; its sentinel says so next

    def _heard(self, seconds: float | None) -> list[Member]:
        """Members that have sent something or died, within some seconds."""
        by_source: dict[Any, Member] = {}
        for member in self._members:
            by_source[member.pipe] = member
            by_source[member.process.sentinel] = member
        return list(dict.fromkeys(by_source[source] for source in wait(list(by_source), seconds)))

    def _hear(self, member: Member) -> Result | None:
        """Takes what a member says, or its death; a result if that ends a job."""
        try:
            message = member.message()
        except Exception:
            self._remove(member)
            raise
        if message is None:
            return self._bury(member)
        if message[0] == "ready":
            member.ready, self._stillborn = True, 0
            return None
        id = member.job
        assert id is not None
        member.occupation.left(ended=True)
        return self._end(id, member, message[1])

    def _bury(self, member: Member) -> Result | None:
        """Takes a dead member out and puts its job back in front; a failed result if it has cost too many workers.

        Raises:
            ExecutorError: If workers keep dying before they are ready.
        """
        death, id = member.death(), member.job
        self._remove(member)
        if not member.ready:
            self._stillborn += 1
            if self._stillborn >= _STILLBORN:
                raise ExecutorError(f"{self._stillborn} workers in a row {death.how} before they were ready")
        if id is None:
            return None
        outcome = self._attempts.died(id, member.name, death)
        if outcome is not None:
            return self._end(id, member, outcome)
        self._waiting.appendleft(id)
        return None

    def _end(self, id: str, member: Member, outcome: Outcome) -> Result:
        del self._jobs[id]
        return Result(id, self._attempts.ended(id), member.name, outcome)

    def _remove(self, member: Member) -> None:
        self._members.remove(member)
        member.end(0.0)


def make(make_worker: MakeWorker, options: Mapping[str, Any]) -> Executor:
    """Makes the executor."""
    return Processes(make_worker, options["workers"], options["retries"])


EXECUTOR = ExecutorSpec(
    name="processes",
    title="in worker processes of this machine; scores do not depend on how many",
    make=make,
    local_processes=True,
    options={
        "workers": Option(2, None, int, "number of processes", low=1),
        "retries": Option(RETRIES, None, int, "how often a job that was lost with its machine is tried again", low=0),
    },
)
