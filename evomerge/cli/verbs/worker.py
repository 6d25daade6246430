"""``evomerge worker``: takes candidates of a shared run on this machine, and drives the run where nobody does."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from evomerge.run.cluster import sharing
from evomerge.run.cluster.settings import WorkerConfig
from evomerge.run.cluster.worker import ClusterWorker
from evomerge.texts import printable

OVER, FAILED, REQUEUE, INTERRUPTED = 0, 1, 75, 130
_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
SAME = 2.0  # seconds within which two signals are of one cause


def run(config: WorkerConfig) -> int:
    """Works until the run is over; told to leave by a signal, ends with a code that batch scripts requeue on."""
    told = Told()
    with told.listening():
        try:
            reason = ClusterWorker(config, lambda: _drive(config.run), told).run()
        except KeyboardInterrupt:
            reason = "left"
    if reason == "left":
        print("left the run; others go on with it", file=sys.stderr, flush=True)
        return INTERRUPTED if told.by == signal.SIGINT else REQUEUE
    why = (sharing.over(Path(config.run)) or {}).get("reason", "")
    again = ": once the cause is removed, submit or search again" if reason == "failed" else ""
    print(printable(f"the run is over ({why}){again}"), file=sys.stderr, flush=True)
    return FAILED if reason == "failed" else OVER


class Told(threading.Event):
    """Set by the first signal; the second one ends what is being done.

    A batch system may tell a worker twice of one thing: itself, and through the script that it told too. What comes
    right after the first one is no second one, unless it is somebody's Ctrl-C.

    Attributes:
        by: The first signal, or None.
    """

    def __init__(self) -> None:
        super().__init__()
        self.by: int | None = None
        self._came_at = 0.0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While it is entered, signals are told."""
        before = {number: signal.signal(number, self._came) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _came(self, number: int, frame: FrameType | None) -> None:
        if self.by is not None:
            if number == signal.SIGINT or time.monotonic() - self._came_at > SAME:
                raise KeyboardInterrupt
            return
        self.by, self._came_at = number, time.monotonic()
        print("told to leave: giving back what takes long; once more leaves now", file=sys.stderr, flush=True)
        self.set()


def _drive(run: str) -> subprocess.Popen[bytes]:
    """A driver as a process of its own, which leaves when the pipe to it is closed, and so with this one."""
    return subprocess.Popen([sys.executable, "-m", "evomerge.cli.driver", run], stdin=subprocess.PIPE)
