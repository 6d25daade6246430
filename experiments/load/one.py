"""One executor under load: evaluations that cost nothing, in a process of their own so that its memory is its own.

    python -m experiments.load.one EXECUTOR OPTIONS CANDIDATES FOLDER

Prints a JSON object; `measure` says what is in it.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

from evomerge import executors, report
from evomerge.contracts.crowd import crowd
from evomerge.executors import Executor
from evomerge.executors._shared.limits import private_bytes
from evomerge.search import Progress, SearchPlan, run
from evomerge.store import RunStore
from experiments.overhead.analytic import OBJECTIVES, Analytic, plan

PARTS, ITEMS = 10, 5


def measure(executor: str, options: dict[str, Any], candidates: int, folder: Path) -> dict[str, Any]:
    """Runs a search, replays it and writes its report.

    Returns:
        ``rate``, evaluations per second; ``parts``, for each tenth of the search its wall and CPU milliseconds per
        evaluation, the CPU being the driver's, and the driver's own memory at its end in bytes; ``replay`` and
        ``report``, wall and CPU seconds; ``page``, bytes of the report's page; ``run``, bytes of the run's folder.
    """
    work = plan("random", candidates, ITEMS)
    marks = _search(work, executor, options, folder)
    replay = _timed(lambda: _search(work, executor, options, folder))
    written = _timed(lambda: report.write(folder))
    each = candidates // PARTS
    assert len(marks) == PARTS + 1
    return {
        "rate": round(candidates / (marks[-1][0] - marks[0][0]), 1),
        "parts": [
            {
                "wall": round(1000 * (b[0] - a[0]) / each, 4),
                "cpu": round(1000 * (b[1] - a[1]) / each, 4),
                "memory": b[2],
            }
            for a, b in pairwise(marks)
        ],
        "replay": replay,
        "report": written,
        "page": (folder / "report.html").stat().st_size,
        "run": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
    }


def _timed(work: Callable[[], object]) -> list[float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return [round(time.perf_counter() - wall, 2), round(time.process_time() - cpu, 2)]


def _search(work: SearchPlan, executor: str, options: dict[str, Any], folder: Path) -> list[tuple[float, float, int]]:
    """Wall and CPU seconds and memory at the first candidate and after each tenth of the search."""
    each, marks = (work.budgets.evaluations or 0) // PARTS, []

    def mark() -> None:
        gc.collect()
        marks.append((time.perf_counter(), time.process_time(), private_bytes(os.getpid())))

    def follow(progress: Progress) -> None:
        reached = progress.done % each == 0 and progress.done // each == len(marks)
        if progress.phase == "search" and (reached or not marks):
            mark()

    made, joined = _made(executor, options, folder)
    manifest = {"objectives": [objective.to_json() for objective in OBJECTIVES]}
    try:
        with joined, RunStore.open(folder, manifest, {}) as store:
            run(work, made, store, follow)
    finally:
        made.close()
    return marks


def _made(executor: str, options: dict[str, Any], folder: Path) -> tuple[Executor, AbstractContextManager[object]]:
    """An executor, and the workers that are started beside it where it starts none."""
    if not executors.load(executor).external:
        return executors.make(executor, Analytic, **options), nullcontext()
    meeting = folder.with_name("work")
    return executors.make(executor, Analytic, folder=str(meeting)), crowd(meeting, Analytic, options["workers"])


if __name__ == "__main__":
    name, given, count, place = sys.argv[1:]
    print(json.dumps(measure(name, json.loads(given), int(count), Path(place))))
