"""Jobs in processes of this machine, each started afresh, replaced when it dies."""

from __future__ import annotations

import atexit
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import wait
from typing import Any

from evomerge.errors import InputError
from evomerge.evaluation import Job, Outcome
from evomerge.executors._shared.attempts import RETRIES, Attempts, Death
from evomerge.executors._shared.gpus import grouped, visible
from evomerge.executors._shared.limits import Limits
from evomerge.executors._shared.member import Member
from evomerge.executors._shared.protocol import Executor, ExecutorError, MakeWorker, Result, WorkerState
from evomerge.executors._shared.spec import ExecutorSpec
from evomerge.options import Option

__all__ = ["EXECUTOR", "Processes"]

_WORKERS = 2  # where nobody says how many, and there are no GPUs to count
_STILLBORN = 3  # workers in a row that die before they are ready, after which no more are started
_GRACE = 5.0  # seconds a worker gets to leave by itself before it is killed


class Processes:
    """Runs jobs in worker processes, at most ``workers`` at a time, started when jobs come.

    A worker that dies is replaced and its job given to another; a job that costs two workers is a failed candidate, and
    so is one at which a worker passes a limit; the other jobs go on. A failure that a worker lived to tell is an
    outcome and is not retried.

    Args:
        make_worker: Picklable; makes the worker inside each process.
        workers: Number of processes, 1 or more.
        attempts: How often jobs are tried.
        limits: Of each worker.
        gpus: What the workers that are there at one time see, by their places: a GPU each, or several with commas
            between; used in turn where there are more workers. None where they compute elsewhere.
    """

    def __init__(
        self,
        make_worker: MakeWorker,
        workers: int,
        attempts: Attempts | None = None,
        limits: Limits | None = None,
        gpus: Sequence[str] = (),
    ) -> None:
        self._make_worker = make_worker
        self._workers = workers
        self._attempts = attempts or Attempts()
        self._limits = limits or Limits()
        self._gpus = gpus
        self._members: list[Member] = []
        self._started = 0
        self._stillborn = 0
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[str] = deque()

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

    def results(self, room: Callable[[], None] | None = None) -> Iterator[Result]:
        """See `Executor.results`."""
        while self._jobs:
            result = self.poll()
            if result is not None:
                yield result

    def poll(self, seconds: float | None = None) -> Result | None:
        """The next result, if it comes within some seconds; without a limit, None where there was another message."""
        if not self._jobs:
            return None
        self._retire()
        self._start()
        self._hand_out()
        heard = self._heard(seconds)
        # Limits first: a worker that has much to say must not hide another that is past one.
        for member in self._members:
            death = None if member in heard else self._limits.passed(member)
            if death is not None:
                return self._bury(member, death)
        for member in heard:
            self._members.append(self._members.pop(self._members.index(member)))  # and the others are heard next time
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
        members = sorted([*self._members], key=lambda member: member.slot)
        return [member.occupation.state(member.name, member.place, ready=member.ready) for member in members]

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
            slot = min(set(range(self._workers)) - {member.slot for member in self._members})
            self._members.append(Member(f"process {self._started}", self._make_worker, slot, self._gpus))

    def _retire(self) -> None:
        """Ends idle workers that have kept too much memory: the next candidate is not to blame for it.

        Raises:
            InputError: If a worker has too much before it was at any.
        """
        for member in [member for member in self._members if self._free(member) and self._limits.too_large(member)]:
            if not member.occupation.done:
                raise InputError(self._limits.no_room(member))
            self._remove(member)

    def _free(self, member: Member) -> bool:
        return member.ready and member.job is None

    def _hand_out(self) -> None:
        for member in self._members:
            if self._waiting and self._free(member) and not self._limits.too_large(member):
                job = self._waiting.popleft()
                member.occupation.took(job)
                self._attempts.given(job)
                try:
                    member.pipe.send(self._jobs[job])
                except (BrokenPipeError, ConnectionResetError):
                    continue  # it died just now; its sentinel says so next

    def _heard(self, seconds: float | None) -> list[Member]:
        """Members that have sent something or died, within some seconds, or before one may have passed a limit."""
        by_source: dict[Any, Member] = {}
        for member in self._members:
            by_source[member.pipe] = member
            by_source[member.process.sentinel] = member
        known = [end for end in (seconds, self._limits.patience(self._members)) if end is not None]
        found = wait(list(by_source), min(known, default=None))
        return list(dict.fromkeys(by_source[source] for source in found))

    def _hear(self, member: Member) -> Result | None:
        """Takes what a member says, or its death; a result if that ends a job."""
        try:
            message = member.message()
        except Exception:
            self._remove(member)
            raise
        if message is None:
            return self._bury(member, member.death())
        kind, said = message
        if kind == "ready":
            member.ready, self._stillborn = True, 0
            return None
        if kind == "unusable":
            return self._bury(member, Death(f"computes no more: {said}"))
        assert member.job is not None
        return self._end(member.job, member, said)

    def _bury(self, member: Member, death: Death) -> Result | None:
        """Takes a dead member out and puts its job back in front; a failed result if it is the candidate's fault.

        Raises:
            ExecutorError: If workers keep dying before they are ready.
        """
        id = member.job
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
        member.occupation.left(ended=True)
        del self._jobs[id]
        return Result(id, self._attempts.ended(id), member.name, outcome)

    def _remove(self, member: Member) -> None:
        self._members.remove(member)
        member.end(0.0)


def make(make_worker: MakeWorker, options: Mapping[str, Any]) -> Executor:
    """Makes the executor."""
    limits = Limits(options["timeout"], options["memory"])
    return Processes(make_worker, count(options), Attempts(options["retries"]), limits, _gpus(options))


def count(options: Mapping[str, Any]) -> int:
    """The number of processes: one for each GPU, or group of GPUs, where there are any and nobody says how many."""
    return options["workers"] or len(_gpus(options)) or (1 if ":" in options["device"] else _WORKERS)


def _gpus(options: Mapping[str, Any]) -> tuple[str, ...]:
    return grouped(visible(options["device"]), options["gpus"])


EXECUTOR = ExecutorSpec(
    name="processes",
    title="in worker processes of this machine; scores do not depend on how many",
    make=make,
    local_processes=True,
    options={
        "workers": Option(None, None, int, f"number of processes; null: one per GPU, without GPUs {_WORKERS}", low=1),
        "retries": Option(RETRIES, None, int, "how often a job that was lost with its machine is tried again", low=0),
        "timeout": Option(None, None, float, "seconds after which a candidate has failed", low=0),
        "memory": Option(None, None, int, "most bytes of a worker's own memory", low=1),
        "gpus": Option(1, None, int, "GPUs that each worker sees", low=1),
        "device": Option("cpu", None, str, "where models run; set by model.device"),
    },
    count=count,
)
