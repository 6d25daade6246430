"""A search that starts in a second, for kills by the hundred: its candidates are scored by formulas, after a nap.

    python -m experiments.faults.cheap FOLDER TRACE EXECUTOR OPTIONS

Store, loop, searcher, executor and workers are the real ones. A tenth of the candidates fails.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from evomerge import executors
from evomerge.evaluation import Failure, Job, Outcome
from evomerge.search import run
from evomerge.store import RunStore
from experiments.faults.trace import leave_trace
from experiments.overhead.analytic import OBJECTIVES, Analytic, plan

CANDIDATES, ITEMS, NAP = 32, 3, 0.03  # seconds


@dataclass(frozen=True)
class Napping:
    """A worker that says in a file what it begins, sleeps and answers, or fails."""

    trace: str
    answer: Analytic = field(default_factory=Analytic)

    def __call__(self, job: Job) -> Outcome:
        """Scores a job; a tenth of the recipes is refused."""
        leave_trace(self.trace, job.id)
        time.sleep(NAP)
        if job.ask.batch > 0 and int(job.recipe.digest[:8], 16) % 10 == 0:
            return Outcome(error=Failure("error", f"recipe {job.recipe.digest[:8]} is refused"))
        return self.answer(job)


def _worker(trace: str) -> Napping:
    return Napping(trace)


def search(folder: Path, trace: str, executor: str, options: dict[str, object]) -> None:
    """Runs the search, or goes on with it."""
    manifest = {"objectives": [objective.to_json() for objective in OBJECTIVES]}
    made = executors.make(executor, functools.partial(_worker, trace), **options)
    with RunStore.open(folder, manifest, {}) as store:
        try:
            run(plan("nsga2", CANDIDATES, ITEMS), made, store)
        finally:
            made.close()


if __name__ == "__main__":
    # By the module's own name: workers on other machines have other programs, and so find nothing by this one's.
    from experiments.faults.cheap import search

    search(Path(sys.argv[1]), sys.argv[2], sys.argv[3], json.loads(sys.argv[4]))
