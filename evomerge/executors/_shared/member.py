"""One worker process, seen from its parent."""

from __future__ import annotations

import multiprocessing
import signal
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnProcess
from typing import Any

from evomerge.errors import InputError
from evomerge.executors._shared.attempts import Death
from evomerge.executors._shared.child import serve
from evomerge.executors._shared.occupation import Occupation
from evomerge.executors._shared.protocol import ExecutorError, MakeWorker

__all__ = ["Member"]

_spawn = multiprocessing.get_context("spawn")


class Member:
    """A fresh process that makes a worker and answers jobs.

    Args:
        name: Its name, for records.
        make_worker: Picklable; makes the worker inside the process.

    Attributes:
        name: Its name.
        ready: Whether its worker is made.
        occupation: The job it is at, and its times.

    Raises:
        ExecutorError: If there can be no such process: the system has none left, or ``make_worker`` cannot be pickled.
    """

    def __init__(self, name: str, make_worker: MakeWorker) -> None:
        self.name = name
        self.pipe, theirs = _spawn.Pipe()
        self.process: SpawnProcess = _spawn.Process(target=serve, args=(theirs, make_worker))
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
    def job(self) -> str | None:
        """Id of the job it is at, or None."""
        return self.occupation.job

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
        self.process.join(grace)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process.close()

    def death(self) -> Death:
        """How the process ended; waits until it has."""
        self.process.join()
        code = self.process.exitcode
        if code == -signal.SIGKILL:
            # Nothing more is known of its end; a system out of memory kills.
            return Death("was killed (signal 9; often the system running out of memory)", "oom")
        return Death(f"died of signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}")
