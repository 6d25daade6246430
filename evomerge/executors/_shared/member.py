"""One worker process, seen from its parent."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import Any

from evomerge.errors import InputError
from evomerge.executors._shared.attempts import Death
from evomerge.executors._shared.child import serve
from evomerge.executors._shared.gpus import VARIABLE
from evomerge.executors._shared.occupation import Occupation, place
from evomerge.executors._shared.parcel import packed
from evomerge.executors._shared.protocol import ExecutorError, MakeWorker

__all__ = ["Member"]

_GRACE = 2.0  # seconds from the end of a connection to that of its process
_spawn = multiprocessing.get_context("spawn")


class Member:
    """A fresh process that makes a worker and answers jobs.

    Args:
        name: Its name, for records.
        make_worker: Picklable; makes the worker inside the process.
        slot: Its place among the workers of one time, from 0; who replaces it has the same.
        gpus: Names of the GPUs that workers are spread over; none where they compute elsewhere.

    Attributes:
        name: Its name.
        slot: Its place.
        place: Host and device, for people.
        ready: Whether its worker is made.
        occupation: The job it is at, and its times.

    Raises:
        ExecutorError: If there can be no such process: the system has none left, or ``make_worker`` cannot be pickled.
    """

    def __init__(self, name: str, make_worker: MakeWorker, slot: int = 0, gpus: Sequence[str] = ()) -> None:
        self.name, self.slot = name, slot
        gpu = gpus[slot % len(gpus)] if gpus else None
        self.place = place("cpu" if gpu is None else f"cuda:{gpu}")
        try:
            parcel = packed(make_worker)
        except Exception as error:
            raise ExecutorError(f"a process could not be started: {type(error).__name__}: {error}") from error
        environment = {} if gpu is None else {VARIABLE: gpu}
        self.pipe, theirs = _spawn.Pipe()
        self.process: SpawnProcess = _spawn.Process(target=serve, args=(theirs, environment, parcel))
        self.ready = False
        self.occupation = Occupation()
        # The child inherits the mask, so that Ctrl-C cannot hit it before it has chosen to ignore it. Starting the
        # tracker, which the first start would do, takes the mask away again.
        resource_tracker.ensure_running()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        except Exception as error:
            self.pipe.close()
            raise ExecutorError(f"a process could not be started: {type(error).__name__}: {error}") from error
        finally:
            theirs.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    @property
    def pid(self) -> int:
        """Number of its process."""
        return self.process.pid or 0

    @property
    def job(self) -> str | None:
        """Id of the job it is at, or None."""
        return self.occupation.job

    def speaks(self) -> bool:
        """Whether it has said something that was not yet heard, or has died."""
        return bool(wait([self.pipe, self.process.sentinel], 0))

    def message(self) -> tuple[str, Any] | None:
        """Its next message, or None when it is dead. Its last words count before its death does.

        Raises:
            InputError: If the worker cannot be made because of what the user asked for.
            ExecutorError: If the worker cannot be made for another reason.
        """
        try:
            if not self.pipe.poll():
                return None
            message: tuple[str, Any] = self.pipe.recv()
        except (EOFError, OSError):  # OSError: it died in the middle of a message
            return None
        if message[0] == "bad input":
            raise InputError(message[1])
        if message[0] == "broken":
            raise ExecutorError(f"a worker could not be started: {message[1]}")
        return message

    def end(self, grace: float) -> None:
        """Closes the pipe, which tells an idle worker to leave; kills one that does not; reaps it."""
        self.pipe.close()
        if not self._ended(grace):
            self.process.kill()
            self.process.join()
        self.process.close()

    def _ended(self, grace: float) -> bool:
        """Whether it ends in so many seconds. `join` would wait for ever for one that has closed all its files."""
        deadline = time.monotonic() + grace
        while self.process.is_alive():
            left = deadline - time.monotonic()
            if left <= 0.0:
                return False
            wait([self.process.sentinel], left)
            time.sleep(0.002)
        return True

    def death(self) -> Death:
        """How the process ended; one that has only cut the connection is killed for it."""
        if not self._ended(_GRACE):
            self.process.kill()
            self.process.join()
            return Death("closed the connection to the search and was ended")
        code = self.process.exitcode
        if code == -signal.SIGKILL:
            # Nothing more is known of its end; a system out of memory kills.
            return Death("was killed (signal 9; often the system running out of memory)", "oom")
        return Death(f"died of signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}")
