"""Sessions of a search in a folder, with a count of the jobs that were really done."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evomerge import executors
from evomerge.evaluation import Job, Outcome
from evomerge.search import (
    SearchPlan,
    SearchResult,
    run,
)
from evomerge.store import RunStore
from tests.search.analytic import Analytic


@dataclass
class Counting:
    """The analytic worker, keeping count of what it is asked."""

    worker: Callable[[Job], Outcome]
    jobs: list[Job]

    def __call__(self, job: Job) -> Outcome:
        self.jobs.append(job)
        return self.worker(job)


def search(
    folder: Path, work: SearchPlan, worker: Callable[[Job], Outcome] | None = None, **options: Any
) -> tuple[SearchResult, list[Job]]:
    """Runs a search in a folder; returns its result and the jobs that were really done."""
    counting = Counting(worker or Analytic(), [])
    with RunStore.open(folder, {}, {}) as store:
        result = run(work, executors.make("local", lambda: counting), store, **options)
    return result, counting.jobs


@contextmanager
def memory(otherwise: Path) -> Iterator[Path]:
    """A folder in memory where there is one, as a search waits for the disk at every record; else another."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        yield otherwise
        return
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield Path(folder)


def status(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "status.json").read_text())
