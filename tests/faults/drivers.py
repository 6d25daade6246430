"""A driver of a search that takes its time, for tests that disturb it; prints what became of it.

Words: the folder, seconds per candidate, candidates.
"""

from __future__ import annotations

import select
import sys
from dataclasses import replace
from pathlib import Path

from evomerge import executors
from evomerge.errors import InputError
from evomerge.evaluation import Job, Outcome
from evomerge.search import run
from evomerge.store import LeaseLost, RunStore
from tests.search.analytic import analytic
from tests.search.killing import search_plan


def drive(folder: Path, seconds: float, evaluations: int = 26) -> str:
    """Drives a search in a folder, or is refused; what became of it."""
    answer = analytic(0.2)

    def slowly(job: Job) -> Outcome:
        select.select([], [], [], seconds)  # sleeping by a clock fails where the clock is another one
        return answer(job)

    try:
        with RunStore.open(folder, {}, {"search": "drivers"}) as store:
            print("driving", flush=True)
            run(replace(search_plan("nsga2", evaluations)), executors.make("local", lambda: slowly), store)
    except InputError as error:
        return "refused" if "being written by another process" in str(error) else f"problem: {error}"
    except LeaseLost:
        return "lost"
    return "finished"


if __name__ == "__main__":
    print(drive(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])), flush=True)
