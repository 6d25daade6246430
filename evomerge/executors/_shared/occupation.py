"""The work of one worker in this session: kept by executors, shown as `WorkerState`."""

from __future__ import annotations

import socket
import time

from evomerge.executors._shared.protocol import WorkerState

__all__ = ["Occupation", "place"]


class Occupation:
    """The times of one worker, by the monotonic clock of the process that keeps it.

    Attributes:
        job: Id of the job it is at, or None.
        done: Jobs ended.
    """

    def __init__(self) -> None:
        self.job: str | None = None
        self.done = 0
        self._busy = 0.0
        self._since = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since it took its job, or fell idle."""
        return time.monotonic() - self._since

    def took(self, job: str) -> None:
        """It begins a job."""
        self.job, self._since = job, time.monotonic()

    def left(self, *, ended: bool) -> None:
        """It is done with its job.

        Args:
            ended: Whether the job ended with it; one that is given up or tried again has not.
        """
        self._busy += self.seconds if self.job is not None else 0.0
        self.done += ended
        self.job, self._since = None, time.monotonic()

    def state(self, name: str, where: str, *, ready: bool) -> WorkerState:
        """The state of the worker of that name, at that place."""
        seconds = self.seconds
        busy = self._busy + (seconds if self.job is not None else 0.0)
        return WorkerState(name, where, self.job, seconds, self.done, busy, ready)


def place(device: str) -> str:
    """A device of this machine as text, with the machine's name."""
    return f"{socket.gethostname()} {device}"
