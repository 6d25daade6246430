"""The driver's part, played by a worker: a child process that drives the run as long as nobody else does.

A machine may be refused as a driver and good enough for candidates: a tracker is not installed there, or a folder that
the search starts from is not seen. Its worker goes on as long as another one drives.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from evomerge.errors import InputError
from evomerge.lease import Lease, LeaseHeld, is_held
from evomerge.run.attach import WORK
from evomerge.run.cluster import sharing
from evomerge.texts import printable

__all__ = ["DRIVEN", "DriverPart"]

DRIVEN = 75  # exit code of a driver that found another one at work; EX_TEMPFAIL of sysexits.h
_BAD_INPUT = 2
_GRACE = 20.0  # seconds that a driver gets to leave the run in order
_QUICK = 60.0  # seconds: a driver that lived for less has done nothing
_FAILURES, _KILLS = 3, 20  # quick ends in a row that a worker takes for chance: of itself, or by a signal


class DriverPart:
    """Starts a driver where the run has none, one for all workers.

    A driver opens models and tasks before it takes the run's own lease. So that not every worker does so in vain, they
    first agree on who tries, by a lease of its own.

    Args:
        folder: The run's folder.
        start: Starts the driver; it ends when its standard input does.
        every: Seconds between two looks at whether there is a driver.
        patience: Seconds for which a worker whose own driver was refused waits for another one's.
    """

    def __init__(
        self, folder: Path, start: Callable[[], subprocess.Popen[bytes]], every: float, patience: float
    ) -> None:
        self._folder = folder
        self._start = start
        self._every = every
        self._patience = patience
        self._refused: tuple[str, ...] = ()  # why this machine cannot drive the run
        self._driven = 0.0  # when somebody else was last seen to drive, or to try to
        self._next = 0.0
        self._child: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._quick = {True: 0, False: 0}  # by whether a signal ended it
        self._lease: Lease | None = None

    def look(self) -> None:
        """Starts a driver where there is none, or sees what has become of the one started here.

        Raises:
            InputError: If it cannot drive the run here, with what it said, and nobody else does.
            RuntimeError: If it fails again and again.
        """
        if self._child is not None:
            code = self._child.poll()
            if code is not None:
                self._ended(code)
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + self._every
            if self._refused:
                self._wait_for_others()
            elif not is_held(self._folder / "records") and self._take():
                self._child, self._began = self._start(), time.monotonic()

    def _wait_for_others(self) -> None:
        if is_held(self._folder / "records") or is_held(self._place):
            self._driven = time.monotonic()
        elif time.monotonic() - self._driven > self._patience:
            begin = f"nobody drives {self._folder}, and this machine cannot: "
            raise InputError([f"{begin}{problem}" for problem in self._refused])

    def ask_to_leave(self) -> None:
        """Asks the driver started here to leave the run to another one; it is not waited for."""
        if self._child is not None and self._child.stdin is not None:
            with contextlib.suppress(OSError):
                self._child.stdin.close()

    def leave(self) -> None:
        """Ends the driver started here, at once if it takes too long, and leaves the part to others."""
        self.ask_to_leave()
        if self._child is not None:
            try:
                self._child.wait(_GRACE)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
            self._child = None
        self._give_up()

    @property
    def _place(self) -> Path:
        return self._folder / WORK / "driver"

    def _take(self) -> bool:
        place = self._place
        if not (self._folder / "manifest.json").exists() and not place.parent.is_dir():
            raise InputError(f"{self._folder} is not there any more")
        place.mkdir(parents=True, exist_ok=True)
        try:
            self._lease = Lease.take(place)
        except LeaseHeld:
            return False
        return True

    def _give_up(self) -> None:
        if self._lease is not None:
            with contextlib.suppress(OSError):
                self._lease.release()
            self._lease = None

    def _ended(self, code: int) -> None:
        pid = self._child.pid if self._child is not None else None
        self._child = None
        self._give_up()
        self._next = time.monotonic() + self._every
        if code == _BAD_INPUT:
            self._refused, self._driven = sharing.refusal_of(self._folder, pid), time.monotonic()
            text = (
                f"evomerge: this machine cannot drive {self._folder}, as is said above; this worker goes on as long as "
                f"another one drives, and for {self._patience:.0f} seconds without"
            )
            print(printable(text), file=sys.stderr, flush=True)
            return
        killed = code < 0
        if code in (0, DRIVEN) or time.monotonic() - self._began > _QUICK:
            self._quick = {True: 0, False: 0}
            return
        self._quick[killed] += 1
        if self._quick[killed] >= (_KILLS if killed else _FAILURES):
            how = f"of signal {-code}" if killed else f"with exit code {code}"
            raise RuntimeError(f"the driver of {self._folder} ended {self._quick[killed]} times in a row {how}")
