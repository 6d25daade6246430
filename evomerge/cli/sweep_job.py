"""One job of a sweep, in whatever process a launcher runs it: this one, another one, or one on another machine.

Nothing but files connects the sweep with its jobs, so that every launcher will do: a job reads how often the sweep was
interrupted, and notes how it ended.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from evomerge.cli.sweep_summary import finished
from evomerge.config.sweep import Job
from evomerge.store.sweep import INTERRUPTED, write_note

DONE = 0
_TAIL = 20  # lines of a failed job's messages that are kept
_TOKEN = secrets.token_hex(8)  # of this process and its forks
_LOOK = 0.1  # seconds between looks at the sweep's interrupts


def this_process() -> str:
    """The name of this process, which no other one has; mere numbers of processes are equal in containers."""
    return f"{os.getpid()} {_TOKEN}"


class Interruptions:
    """How often a sweep was interrupted: the size of a file that only grows.

    In the sweep's own process the count holds without the file too, which a full disk, or a folder that is removed
    while the sweep runs, takes away.

    Args:
        path: The file; there is none before the first interrupt.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._own = 0

    @property
    def count(self) -> int:
        """How many there were."""
        try:
            return max(self._own, self.path.stat().st_size)
        except OSError:
            return self._own

    def add(self) -> None:
        """Adds one."""
        self._own += 1
        with contextlib.suppress(OSError), self.path.open("ab") as file:
            file.write(b"i")

    def clear(self) -> None:
        """Removes the file, as the sweep ends."""
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class JobRunner:
    """Runs a job as a process of its own; picklable, for launchers.

    Attributes:
        folder: The sweep's folder, absolute.
        cwd: Where relative paths in the words of jobs are seen from.
        interruptions: Interrupts of the sweep.
        sweep: Process of the sweep, see :func:`this_process`, which counts signals itself.
    """

    folder: Path
    cwd: Path
    interruptions: Interruptions
    sweep: str

    def __call__(self, job: Job) -> int:
        """Runs a job to its end, or as far as an interrupt lets it, and notes how it ended.

        Returns:
            Its exit code; 0 where it had finished before.
        """
        if self.interruptions.count:
            return INTERRUPTED
        os.chdir(self.cwd)  # a launcher's process may have been started elsewhere
        if finished(job.config):
            print(f"{job.name}: finished already", flush=True)
            return DONE
        print(f"{job.name}: evomerge search {shlex.join(job.words)}", flush=True)
        started = time.monotonic()
        code, messages = self._run([sys.executable, "-m", "evomerge", "search", *job.words])
        seconds = round(time.monotonic() - started, 1)
        note = {"words": list(job.words), "code": code, "seconds": seconds, "messages": messages}
        write_note(self.folder, job.name, note)
        return code

    def _run(self, command: list[str]) -> tuple[int, list[str]]:
        """The exit code of a command and the last lines of its messages, which are passed on as they come."""
        tail: deque[str] = deque(maxlen=_TAIL)
        # A process group of its own: an interrupt from the terminal reaches it once, through the sweep.
        with (
            subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace", process_group=0) as child,
            contextlib.nullcontext() if this_process() == self.sweep else _passing_on(child),
        ):
            assert child.stderr is not None
            reader = threading.Thread(target=_follow, args=(child.stderr, tail), daemon=True)
            reader.start()
            try:
                self._wait(child)
            except BaseException:  # a launcher that ends its process, at a time limit
                child.send_signal(signal.SIGINT)
                raise
            finally:
                reader.join()
        return child.returncode, list(tail)

    def _wait(self, child: subprocess.Popen[str]) -> None:
        handed = 0
        while True:
            try:
                child.wait(_LOOK)
                return
            except subprocess.TimeoutExpired:
                for _ in range(handed, self.interruptions.count):
                    child.send_signal(signal.SIGINT)
                    handed += 1


def _follow(stream: IO[str], tail: deque[str]) -> None:
    for line in stream:
        sys.stderr.write(line)
        tail.append(line.rstrip("\n"))


@contextlib.contextmanager
def _passing_on(child: subprocess.Popen[str]) -> Iterator[None]:
    """In a launcher's process: SIGTERM goes on to the job, and Ctrl-C is left to the sweep, which tells all jobs."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        before[signal.SIGINT] = signal.signal(signal.SIGINT, lambda *_: None)
        before[signal.SIGTERM] = signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGINT))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
