"""A worker of a shared run: takes candidates, and drives the run where nobody does. Its process has no models."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from evomerge import executors
from evomerge.executors.folder import GRACE, FolderWorker, Pause, PolledExecutor, WorkFolder
from evomerge.run.attach import WORK, config_of
from evomerge.run.cluster import sharing
from evomerge.run.cluster.driver import DriverPart
from evomerge.run.cluster.settings import WorkerConfig
from evomerge.run.cluster.worker_file import read_worker, worker_of
from evomerge.texts import printable

__all__ = ["ClusterWorker", "name_here", "named"]

_SLOWEST = 5.0  # seconds between two looks at the folder
_LOOKS = 12  # at whether there is a driver, in the time after which a worker counts as gone


def name_here(environment: Mapping[str, str] = os.environ) -> str:
    """The name of the worker that this process is: a pod's index, a task of an array job, or host and process."""
    if (index := environment.get("JOB_COMPLETION_INDEX")) is not None:
        name = f"pod-{index}"
    elif (task := environment.get("SLURM_ARRAY_TASK_ID")) is not None:
        name = f"task-{task}"
    else:
        name = f"{socket.gethostname()}-{os.getpid()}"
    if environment.get("SLURM_NTASKS", "1") != "1":
        name += f"-{environment.get('SLURM_PROCID', '0')}"
    return _plain(name)


def named(name: str | None) -> str:
    """The name that a user gave a worker, as a part of files' names; `name_here` where there is none."""
    return _plain(name or "") or name_here()


def _plain(name: str) -> str:
    return re.sub(r"[^\w-]+", "-", name)


class ClusterWorker:
    """One worker.

    Args:
        config: The run's folder, the number of processes, and how long candidates may take to end.
        drive: Starts a driver of the run.
        told: Set when the worker is to leave.

    Raises:
        InputError: If the folder holds no run.
    """

    def __init__(
        self, config: WorkerConfig, drive: Callable[[], subprocess.Popen[bytes]], told: threading.Event
    ) -> None:
        self._config = config
        self._folder = Path(config.run)
        self._grace = float(config_of(self._folder).executor.options.get("grace") or GRACE)
        self._driver = DriverPart(self._folder, drive, self._grace / _LOOKS, self._grace)
        self._told = told
        self._worker: FolderWorker | None = None
        self._said: str | None = None

    def run(self) -> str:
        """Works until the run is over, or until told to leave.

        Returns:
            ``over``, ``failed`` (the run is over, and failed) or ``left`` (also where the folder is out of reach).

        Raises:
            InputError: If a worker cannot be made on this machine, or a driver, and nobody else drives.
            ExecutorError: If processes cannot be started.
        """
        try:
            ended = self._work()
            if ended is not None:
                return ended
            self._driver.ask_to_leave()
            self._finish()
            return "left"
        finally:
            try:
                if self._worker is not None:
                    self._worker.leave()
            finally:
                self._driver.leave()

    def _work(self) -> str | None:
        """Works until the run is over, which is what it returns, or until told to leave.

        A file system that is away for a moment is waited for, as long as others would wait for this worker.
        """
        pause, seen = Pause(_SLOWEST), time.monotonic()
        while not self._told.is_set():
            try:
                if (found := sharing.over(self._folder)) is not None:
                    return "failed" if found.get("failed") else "over"
                self._driver.look()
                worked = self._turn(pause.next())
            except OSError as error:
                if time.monotonic() - seen > self._grace:
                    self._say(f"{error}; this worker leaves")
                    return None
                self._say(f"{error}; waiting until the file system is there again")
                self._told.wait(pause.next())
                continue
            self._said, seen = None, time.monotonic()
            if worked:
                pause = Pause(_SLOWEST)
        return None

    def _say(self, text: str) -> None:
        """Tells people what is wrong, once."""
        if text != self._said:
            print(printable(f"evomerge: {text}"), file=sys.stderr, flush=True)
        self._said = text

    def _turn(self, seconds: float) -> bool:
        if self._worker is None:
            self._worker = self._join()
        worked = self._worker is not None and self._worker.turn(seconds)
        if not worked and not (self._worker is not None and self._worker.busy):
            self._told.wait(seconds)
        return worked

    def _join(self) -> FolderWorker | None:
        """Joins when the driver has said what workers need to know."""
        known = read_worker(self._folder)
        if known is None:
            return None
        options = {"gpus": known.get("gpus", 1)}
        settings = executors.ExecutorSettings("processes", self._config.workers, **known["limits"], options=options)
        spec = executors.load("processes")
        given = spec.given(settings, known["settings"]["device"])
        make_worker = functools.partial(worker_of, self._folder.absolute())
        executor = cast(PolledExecutor, executors.make("processes", make_worker, **given))
        return FolderWorker(WorkFolder(self._folder / WORK), executor, named(self._config.name), self._grace)

    def _finish(self) -> None:
        """Lets candidates end that are likely to, in the time that there is."""
        deadline = time.monotonic() + self._config.finish
        while self._worker is not None and self._worker.busy and (left := deadline - time.monotonic()) > 0:
            remaining = self._worker.remaining()
            if remaining is None or remaining > left:
                return
            with contextlib.suppress(OSError):
                self._worker.deliver(min(left, 0.5))
