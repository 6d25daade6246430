"""The actors of a run: how many there are to be, which of them are of no use, and how long to wait for the first."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from evomerge.errors import InputError
from evomerge.executors._shared.attempts import RETRIES
from evomerge.executors._shared.protocol import ExecutorError
from evomerge.executors.ray.cluster import Cluster
from evomerge.executors.ray.ray_member import RayMember
from evomerge.executors.ray.share import Share
from evomerge.executors.ray.worker_actor import ActorSetup

__all__ = ["Crew", "RaySettings"]

_LOOK = 5.0  # seconds between looks at how many workers the cluster has room for


@dataclass(frozen=True)
class RaySettings:
    """Where jobs run, and within which limits.

    Attributes:
        share: What each worker gets.
        address: The cluster's; None for one that is started here.
        workers: Number of workers; None for as many as the cluster has room for.
        retries: Losses of a job that are made good.
        timeout: Most seconds at a job, or None.
        memory: Most bytes of a worker's own memory, or None.
        patience: Seconds without any worker, waiting for a node with room, after which the run ends.
    """

    share: Share
    address: str | None = None
    workers: int | None = None
    retries: int = RETRIES
    timeout: float | None = None
    memory: int | None = None
    patience: float = 600.0


class Crew:
    """The actors, at most as many as were asked for or as the cluster has room for; iterating gives them.

    One whose worker refuses or cannot be made is left out, and keeps its place, so that no other comes there. Where
    nobody else is left, that ends the run, unless others went with their nodes, which may come back.

    Args:
        cluster: Where they run.
        setup: What their workers need.
        settings: How many there are to be.
    """

    def __init__(self, cluster: Cluster, setup: ActorSetup, settings: RaySettings) -> None:
        self.cluster = cluster
        self._setup = setup
        self._settings = settings
        self._members: list[RayMember] = []
        self._names = 0
        self._room, self._looked = 0, float("-inf")
        self._alone = time.monotonic()
        self._dead: set[str] = set()
        self._lost = False

    def __iter__(self) -> Iterator[RayMember]:
        return iter(tuple(self._members))

    @property
    def capacity(self) -> int:
        """Most actors that there will be now; a cluster that grows has room for more."""
        if self._settings.workers is not None:
            return self._settings.workers
        if time.monotonic() - self._looked > _LOOK:
            self._room, self._looked = self.cluster.room(), time.monotonic()
        return max(1, self._room)

    def next_name(self) -> str:
        """The name of another worker."""
        self._names += 1
        return f"ray {self._names}"

    def grow(self, jobs: int) -> None:
        """Asks for actors until there are enough for so many jobs.

        Raises:
            InputError: If every worker refuses because of what the user asked for.
            ExecutorError: If no worker can be made for another reason.
        """
        if not self._members:
            self._alone = time.monotonic()
        most = self.capacity
        left_out = sum(member.fault is not None for member in self._members)
        if left_out >= most and not self._lost:  # else another node may come in place of one that served
            raise self._refusal()
        for _ in range(len(self._members) - left_out, min(most - left_out, jobs)):
            self._members.append(RayMember(self.cluster, self._setup, self.next_name()))

    def idle(self) -> list[RayMember]:
        """Those that can take a job, none of them on a node that went or is being asked."""
        doubtful = self._dead | {member.node for member in self._members if member.end is not None}
        return [member for member in self._members if member.idle and member.node not in doubtful]

    def remove(self, member: RayMember, *, node_went: bool) -> None:
        """Takes one out that has ended, alone or with its node."""
        self._members.remove(member)
        member.kill()
        if node_went and member.node is not None:
            self._dead.add(member.node)
            self._lost |= member.fault is None

    def leave_out(self, member: RayMember, fault: tuple[str, ...] | str) -> None:
        """Gives one up that is of no use; says so."""
        member.fault, member.ready = fault, False
        warnings.warn(f"executor ray: a worker at {member.place} is left out: {_text(fault)}", stacklevel=2)

    def be_patient(self) -> None:
        """Ends the run when it has been without any worker for too long.

        Raises:
            ExecutorError: If it has.
        """
        if any(member.node is not None and member.fault is None for member in self._members):
            self._alone = time.monotonic()
        elif time.monotonic() - self._alone > self._settings.patience:
            others = f"; workers were left out: {self._refusal()}" if any(m.fault for m in self._members) else ""
            raise ExecutorError(
                f"no node of the Ray cluster has had room for a worker ({self._settings.share}) in "
                f"{self._settings.patience:g} seconds; give workers less (executor.options.cpus, gpus), or add nodes "
                f"and run again to go on{others}"
            )

    def close(self) -> None:
        """Ends every worker and waits until it is gone."""
        members, self._members = self._members, []
        self.cluster.settle([m.stopping() for m in members if m.node is not None and m.end is None])
        for member in members:
            member.kill()

    def _refusal(self) -> InputError | ExecutorError:
        """The error when nobody is of use: the user's where each says that it is."""
        faults = [member.fault for member in self._members if member.fault is not None]
        problems = dict.fromkeys(problem for fault in faults if isinstance(fault, tuple) for problem in fault)
        if all(isinstance(fault, tuple) for fault in faults):
            return InputError(list(problems))
        return ExecutorError("; ".join(dict.fromkeys(map(_text, faults))))


def _text(fault: tuple[str, ...] | str) -> str:
    return fault if isinstance(fault, str) else "; ".join(fault)
