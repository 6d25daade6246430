"""Jobs in, results out: hands jobs to the actors' workers, and judges every end of a worker, an actor or a node."""

from __future__ import annotations

import atexit
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from evomerge.evaluation import Job, Outcome
from evomerge.executors._shared.attempts import Attempts, Death
from evomerge.executors._shared.parcel import packed
from evomerge.executors._shared.protocol import ExecutorError, MakeWorker, Result, WorkerState
from evomerge.executors.ray.cluster import Cluster, Fault, Gone
from evomerge.executors.ray.crew import Crew, RaySettings
from evomerge.executors.ray.ray_member import RayMember
from evomerge.executors.ray.worker_actor import ActorSetup

__all__ = ["RayExecutor"]

_STILLBORN = 3  # workers in a row that die before they are ready, after which their actor is left out
_POLL = 1.0  # seconds that an end is waited for at a time


class RayExecutor:
    """Runs each job in a worker process that an actor keeps on its node.

    Whose fault an end is: what the actor tells of its process is evidence as in the executor ``processes``; where the
    actor itself ends, its node is asked, and a node that went says nothing about the candidate.

    Args:
        make_worker: Picklable; makes the worker on its node.
        settings: Where and how.
    """

    def __init__(self, make_worker: MakeWorker, settings: RaySettings) -> None:
        self._make_worker = make_worker
        self._settings = settings
        self._crew: Crew | None = None
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[str] = deque()
        self._attempts = Attempts(settings.retries)

    @property
    def capacity(self) -> int:
        """Number of workers, or how many the cluster has room for now."""
        return self._settings.workers or self._connected().capacity

    def submit(self, job: Job) -> None:
        """Gives the job to an idle worker, or asks for one where there are too few; see `Executor.submit`."""
        if job.id in self._jobs:
            raise ValueError(f"job {job.id} is outstanding already")
        crew = self._connected()
        self._jobs[job.id] = job
        self._waiting.append(job.id)
        try:
            crew.grow(len(self._jobs))
        except BaseException:
            self.cancel(job.id)
            raise
        self._hand_out(crew)

    def results(self, room: Callable[[], None] | None = None) -> Iterator[Result]:
        """See `Executor.results`."""
        while self._jobs:
            crew = self._connected()
            crew.grow(len(self._jobs))
            self._hand_out(crew)
            for member in crew:
                member.look_again()
            calls = {call: member for member in crew for call in member.calls}
            for call in crew.cluster.ended(list(calls), _POLL):
                if calls[call] not in crew or call not in calls[call].calls:
                    continue  # of an end that has been dealt with
                result = self._hear(crew, calls[call], call)
                if result is not None:
                    self._hand_out(crew)  # so that nobody idles while the outcome is looked at
                    yield result
            crew.be_patient()
            if room is not None and len(self._jobs) < self.capacity:
                room()

    def workers(self) -> Sequence[WorkerState]:
        """See `Executor.workers`."""
        return [member.state() for member in self._crew or ()]

    def cancel(self, job: str) -> None:
        """Forgets the job; a worker that is at it is ended. See `Executor.cancel`."""
        if self._jobs.pop(job, None) is None:
            return
        self._attempts.ended(job)
        if job in self._waiting:
            self._waiting.remove(job)
        for member in self._crew or ():
            if member.job == job:
                member.occupation.left(ended=False)
                member.stop()

    def close(self) -> None:
        """See `Executor.close`. A cluster that was started for the run ends, another stays as it is."""
        atexit.unregister(self.close)
        self._jobs.clear()
        self._waiting.clear()
        self._attempts.clear()
        crew, self._crew = self._crew, None
        if crew is not None:
            try:
                crew.close()
            finally:
                crew.cluster.close()

    def _connected(self) -> Crew:
        if self._crew is None:
            settings = self._settings
            try:
                parcel = packed(self._make_worker)
            except Exception as error:
                raise ExecutorError(f"a worker cannot be sent to a node: {type(error).__name__}: {error}") from error
            setup = ActorSetup.of_driver(parcel, settings.timeout, settings.memory)
            cluster = Cluster(settings.address, settings.share, settings.workers)
            self._crew = Crew(cluster, setup, settings)
            atexit.register(self.close)
        return self._crew

    def _hand_out(self, crew: Crew) -> None:
        if not self._waiting:
            return
        for member in crew.idle()[: len(self._waiting)]:
            job = self._waiting.popleft()
            self._attempts.given(job)
            member.give(self._jobs[job])

    def _hear(self, crew: Crew, member: RayMember, call: Any) -> Result | None:
        """Takes the end of a call; a result if that ends a job."""
        try:
            kind, content = member.message(call)
        except Gone as gone:
            return self._gone(crew, member, gone)
        if member.end is not None:  # its node lives, so it ended by itself; or it lives, and was out of reach
            return self._bury(crew, member, member.end, "own" if member.asked == "node" else "reach")
        if kind == "done" and member.job is not None:
            return self._done(member, content)
        if kind == "at":
            member.start(member.name)
        elif kind == "ready":
            member.ready = True
        elif kind in ("bad input", "broken"):
            crew.leave_out(member, tuple(content) if kind == "bad input" else str(content))
        else:  # died, gone, grown, or ended with a job that was cancelled
            member.stillborn += not member.ready or kind == "gone"
            return self._start_again(crew, member, content if kind == "died" else None)
        return None

    def _done(self, member: RayMember, outcome: Outcome) -> Result:
        assert member.job is not None
        id, member.stillborn = member.job, 0
        member.occupation.left(ended=True)
        return self._end(id, member.name, outcome)

    def _start_again(self, crew: Crew, member: RayMember, death: Death | None) -> Result | None:
        """Has another worker made in place of one that died; a result if that ends its job.

        Args:
            crew: The actors.
            member: Where it died.
            death: How; None where it is not known, and so no evidence.
        """
        name, id = member.name, member.job
        member.occupation.left(ended=False)
        if member.stillborn < _STILLBORN:
            member.start(crew.next_name())
        else:
            how = death.how if death is not None else "were gone"
            crew.leave_out(member, f"{_STILLBORN} workers in a row {how} before they did anything")
        return self._again(id, name, death) if id is not None else None

    def _gone(self, crew: Crew, member: RayMember, gone: Gone) -> Result | None:
        """Takes the end of an actor, or the silence of the node that was asked about it."""
        if member.end is not None and member.asked == "node":
            return self._bury(crew, member, member.end, "node")
        if gone.fault == "reach" and member.node is not None:
            member.ask_actor(gone)
            return None
        if gone.fault == "unknown" and member.node is not None:
            member.ask_node(gone)
            return None
        if gone.fault == "make" and member.job is None:
            if member.fault is None:
                crew.leave_out(member, gone.how)
            return None
        return self._bury(crew, member, gone, gone.fault)

    def _bury(self, crew: Crew, member: RayMember, gone: Gone, fault: Fault) -> Result | None:
        """Takes an actor out that ended; a result if that ends its job.

        Raises:
            ExecutorError: If its job was lost too often.
        """
        crew.remove(member, node_went=fault == "node")
        if (id := member.job) is None:
            return None
        if fault in ("own", "make"):
            return self._again(id, member.name, Death(gone.how, gone.kind))
        self._attempts.lost(id, f"{member.name} at {member.place} {gone.how}")
        return self._again(id, member.name, None)

    def _again(self, id: str, worker: str, death: Death | None) -> Result | None:
        """Puts a job back in front, unless a death is evidence enough to end it."""
        outcome = self._attempts.died(id, worker, death) if death is not None else None
        if outcome is not None:
            return self._end(id, worker, outcome)
        self._waiting.appendleft(id)
        return None

    def _end(self, id: str, worker: str, outcome: Outcome) -> Result:
        del self._jobs[id]
        return Result(id, self._attempts.ended(id), worker, outcome)
