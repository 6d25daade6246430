"""``evomerge search -m``: one search for every combination of swept values, through Hydra's own multirun.

Each job is a process of its own with a folder of its own: one that fails, or is killed, stops no other. Run again,
finished jobs are skipped.
"""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Self

from evomerge.cli.sweep_summary import finished, summarise
from evomerge.config import multirun
from evomerge.config.sweep import NOTES, Job, plan

DONE, INTERRUPTED = 0, 130
_TAIL = 20  # lines of a failed job's messages that are kept


def run(words: Sequence[str]) -> int:
    """Runs a sweep.

    Args:
        words: The command line after the verb, without ``-m``.

    Returns:
        The exit code: 0 where every job is finished, 1 where any failed, 130 after an interrupt.

    Raises:
        InputError: With everything that is wrong with any job, before the first one starts.
    """
    folder, jobs, hydra_words = plan(words)
    print(f"{len(jobs)} jobs in {folder}", flush=True)
    with _Forwarded() as forwarded:
        multirun.launch(lambda job: _run_job(job, folder / NOTES, forwarded), jobs, hydra_words)
    return summarise(folder, jobs, interrupted=forwarded.count > 0)


class _Forwarded:
    """Hands interrupts on to the running job, which finishes its batch; no further job starts.

    Jobs are process groups of their own: an interrupt from the terminal reaches them once, through here.
    """

    def __init__(self) -> None:
        self.count = 0
        self._child: subprocess.Popen[str] | None = None
        self._waiting: list[int] = []  # what came while a job was starting, which nobody could be handed
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._came)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    @contextmanager
    def running(self, child: subprocess.Popen[str]) -> Iterator[None]:
        """While it is entered, interrupts go to this job; what has come since it was started goes to it now."""
        self._child = child
        while self._waiting:
            child.send_signal(self._waiting.pop())
        try:
            yield
        finally:
            self._child = None

    def _came(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self._child is not None:
            self._child.send_signal(number)
        else:
            self._waiting.append(number)


def _run_job(job: Job, notes: Path, forwarded: _Forwarded) -> int:
    if forwarded.count:
        return INTERRUPTED
    if finished(job.config):
        print(f"{job.name}: finished already", flush=True)
        return DONE
    print(f"{job.name}: evomerge search {shlex.join(job.words)}", flush=True)
    started = time.monotonic()
    command = [sys.executable, "-m", "evomerge", "search", *job.words]
    tail: deque[str] = deque(maxlen=_TAIL)
    with (
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace", process_group=0) as child,
        forwarded.running(child),
    ):
        assert child.stderr is not None
        for line in child.stderr:
            sys.stderr.write(line)
            tail.append(line.rstrip("\n"))
        child.wait()
    seconds = round(time.monotonic() - started, 1)
    note = {"words": list(job.words), "code": child.returncode, "seconds": seconds, "messages": list(tail)}
    (notes / f"{job.name}.json").write_text(json.dumps(note, indent=1), encoding="utf-8")
    return child.returncode
