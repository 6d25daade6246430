"""How often a job is tried: what cost a worker its life, what was the candidate's fault, what was the machine's."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from evomerge.evaluation import Failure, Outcome
from evomerge.executors._shared.protocol import ExecutorError

__all__ = ["RETRIES", "Attempts", "Death"]

RETRIES = 3  # of a job whose worker was lost with its machine, where the user says nothing else


@dataclass(frozen=True)
class Death:
    """How a worker ended while it was at a job.

    Attributes:
        how: In words that follow "its worker", such as ``was killed (signal 9)``.
        kind: Kind of the failure, where it becomes one: ``error``, ``oom`` or ``timeout``.
        certain: Whether it is the job's fault beyond doubt: a limit that the user set was passed.
    """

    how: str
    kind: str = "error"
    certain: bool = False


@dataclass
class _Tries:
    given: int = 0
    lost: int = 0
    deaths: list[str] = field(default_factory=list)  # names of the workers


class Attempts:
    """The tries of the jobs that are outstanding; the one policy of all executors.

    A worker that died once may have died of anything, so its job is tried again; a second one that dies at the same
    job is evidence against the candidate, which has failed. A limit that was passed is evidence at once. A worker that
    went with its machine (node loss, preemption, a claim that expired) says nothing about the candidate: its job is
    tried again, and more than ``retries`` such losses of one job end the run rather than become an outcome.

    Args:
        retries: Most losses of one job that are made good, 0 or more.
    """

    def __init__(self, retries: int = RETRIES) -> None:
        self._retries = retries
        self._tries: defaultdict[str, _Tries] = defaultdict(_Tries)

    def given(self, job: str) -> int:
        """Counts that the job was given to a worker; returns how often it has been, 1 or more."""
        self._tries[job].given += 1
        return self._tries[job].given

    def died(self, job: str, worker: str, death: Death) -> Outcome | None:
        """Takes the death of a worker at the job; the job has to be tried again where there is no outcome.

        Args:
            job: Id of the job.
            worker: Name of the worker; one that comes back under its name is the same worker.
            death: How it died.

        Raises:
            ExecutorError: If the same worker has died of it, and come back, more than ``retries`` times and than once.
        """
        tries = self._tries[job]
        tries.deaths.append(worker)
        if death.certain:
            return Outcome(error=Failure(death.kind, f"its worker {death.how}"))
        if len(set(tries.deaths)) > 1:
            message = f"tried {tries.given} times; {len(tries.deaths)} workers died at it, the last {death.how}"
            return Outcome(error=Failure(death.kind, message))
        if len(tries.deaths) > max(self._retries, 1):
            raise ExecutorError(
                f"worker {worker} died {len(tries.deaths)} times at job {job}, the last time {death.how}"
            )
        return None

    def lost(self, job: str, how: str = "its worker was lost") -> None:
        """Takes the loss of the infrastructure that the job was at; it has to be tried again.

        Args:
            job: Id of the job.
            how: What was lost, a clause.

        Raises:
            ExecutorError: If that has happened more than ``retries`` times.
        """
        tries = self._tries[job]
        tries.lost += 1
        if tries.lost > self._retries:
            raise ExecutorError(
                f"job {job} was lost {tries.lost} times, the last time as {how}, and is tried again at most "
                f"{self._retries} times (executor.retries); the candidate is not to blame, so run again to go on"
            )

    def ended(self, job: str) -> int:
        """Forgets a job that ended or was given up; returns how often it was given to a worker."""
        return self._tries.pop(job, _Tries()).given

    def clear(self) -> None:
        """Forgets every job."""
        self._tries.clear()
