"""``evomerge search -m``: one search for every combination of swept values, through Hydra's own multirun.

Each job is a process of its own with a folder of its own: one that fails, or is killed, stops no other. Run again,
finished jobs are skipped. The page over all runs is written at the end.
"""

from __future__ import annotations

import secrets
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Self

from evomerge.cli.sweep_job import Interruptions, JobRunner, this_process
from evomerge.cli.sweep_summary import summarise
from evomerge.config import multirun
from evomerge.config.sweep import plan
from evomerge.report import sweep
from evomerge.store.sweep import NOTES, write_plan
from evomerge.texts import printable

FAILED = 1


def run(words: Sequence[str]) -> int:
    """Runs a sweep.

    Args:
        words: The command line after the verb, without ``-m``.

    Returns:
        The exit code: 0 where every job is finished, 1 where any failed, 130 after an interrupt.

    Raises:
        InputError: With everything that is wrong with any job, before the first one starts.
    """
    planned = plan(words)
    folder = planned.folder
    print(f"{len(planned.jobs)} jobs in {folder}", flush=True)
    write_plan(folder, planned.keys, [(job.name, job.words) for job in planned.jobs])
    interruptions = Interruptions(folder.absolute() / NOTES / f".interrupts.{secrets.token_hex(4)}")
    runner = JobRunner(folder.absolute(), Path.cwd(), interruptions, this_process())
    try:
        with _Counted(interruptions):
            failure = multirun.launch(runner, planned.jobs, planned.hydra_words)
        if failure:
            print(f"evomerge: the launcher failed: {printable(failure)}", file=sys.stderr, flush=True)
        code = summarise(folder, planned.jobs, interrupted=interruptions.count > 0)
        page, _ = sweep.write(folder)
        print(f"report: {page}", flush=True)
    finally:
        interruptions.clear()
    return code or FAILED * bool(failure)


class _Counted:
    """Counts interrupts instead of ending the sweep: running jobs finish their batches, and no further one starts.

    Jobs are process groups of their own: an interrupt from the terminal reaches them once, through the count.
    """

    def __init__(self, interruptions: Interruptions) -> None:
        self._interruptions = interruptions
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._came)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _came(self, number: int, frame: FrameType | None) -> None:
        self._interruptions.add()
