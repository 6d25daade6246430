"""One actor and its worker, seen from the driver."""

from __future__ import annotations

import time
from typing import Any, Literal

from evomerge.evaluation import Job
from evomerge.executors._shared.occupation import Occupation
from evomerge.executors._shared.protocol import WorkerState
from evomerge.executors.ray.cluster import Cluster, Gone
from evomerge.executors.ray.worker_actor import ActorSetup

__all__ = ["RayMember"]

_PAUSE = 1.0  # seconds between two questions to an actor that is out of reach
_PATIENCE = 10.0  # seconds in which an actor has to end its worker, before it is ended itself


class RayMember:
    """An actor on some node and the worker that it keeps.

    Calls are asked for and answered later: `calls` are those that may end.

    Args:
        cluster: Where it runs.
        setup: What its worker needs.
        name: Name of its first worker.

    Attributes:
        name: Name of its worker; each worker that it makes has its own.
        node: Id of its node; None until it has begun.
        place: Host and device, for people.
        ready: Whether its worker is made.
        stillborn: Workers in a row that died before they were ready.
        occupation: The job it is at, and its times.
        fault: What makes it useless: problems of the user's input, or one text; None while it is of use.
        end: How its actor ended, while it is asked why; None before.
        asked: Who is asked: nobody, the actor itself, or its node.
    """

    def __init__(self, cluster: Cluster, setup: ActorSetup, name: str) -> None:
        self._cluster = cluster
        self._actor = cluster.actor(setup)
        self.name = name
        self.node: str | None = None
        self.place = "waiting for a node"
        self.ready = False
        self.stillborn = 0
        self.occupation = Occupation()
        self.fault: tuple[str, ...] | str | None = None
        self.end: Gone | None = None
        self.asked: Literal["nobody", "actor", "node"] = "nobody"
        self._ask_at: float | None = None
        self._stay: Any = self._actor.stay.remote()
        self._call: Any = self._actor.where.remote()

    @property
    def job(self) -> str | None:
        """Id of the job it is at, or None."""
        return self.occupation.job

    @property
    def idle(self) -> bool:
        """Whether it can take a job."""
        return self.ready and self.job is None and self._call is None and self.end is None

    @property
    def calls(self) -> list[Any]:
        """The calls whose end says something."""
        return [call for call in (self._call, self._stay) if call is not None]

    def start(self, name: str) -> None:
        """Has a worker of that name made."""
        self.name, self.ready = name, False
        self._call = self._actor.start.remote(name)

    def give(self, job: Job) -> None:
        """Hands it a job."""
        self.occupation.took(job.id)
        self._call = self._actor.work.remote(job)

    def message(self, call: Any) -> tuple[str, Any]:
        """The words of a call that has ended, as `WorkerActor` answers; ``("alive", None)`` when its node was asked.

        Raises:
            Gone: If the actor has ended.
        """
        if call == self._call:
            self._call = None
        else:
            self._stay = None
        answer: tuple[str, Any] = self._cluster.answer(call)
        if answer[0] == "at":
            self.node, self.place = answer[1]
        return answer

    def ask_node(self, end: Gone) -> None:
        """Asks its node whether it is alive, as that says whose fault the end is."""
        assert self.node is not None
        self.end, self.asked, self.ready, self._stay = end, "node", False, None
        self._call = self._cluster.probe(self.node)

    def ask_actor(self, end: Gone) -> None:
        """Asks an actor that did not answer once more; Ray knows by then whether it has died.

        While Ray connects to it again calls fail at once, so whoever was asked before is asked after a pause.
        """
        pause = _PAUSE if self.asked == "actor" else 0.0
        self.end, self.asked, self.ready, self._stay = end, "actor", False, None
        self._ask_at = time.monotonic() + pause
        self.look_again()

    def look_again(self) -> None:
        """Asks the actor when the pause is over."""
        if self._ask_at is not None and time.monotonic() >= self._ask_at:
            self._ask_at = None
            self._call = self._actor.where.remote()

    def stop(self) -> None:
        """Ends its worker and waits until it is gone; the actor goes too if it does not answer."""
        try:
            self._cluster.answer(self.stopping(), _PATIENCE)
        except Gone:
            self.kill()

    def stopping(self) -> Any:
        """Asks for the end of its worker; the call ends when it is gone."""
        return self._actor.stop.remote()

    def kill(self) -> None:
        """Ends the actor, and with it its worker."""
        self._cluster.kill(self._actor)

    def state(self) -> WorkerState:
        """See `Executor.workers`."""
        return self.occupation.state(self.name, self.place, ready=self.ready)
