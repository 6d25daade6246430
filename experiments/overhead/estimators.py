"""CPU seconds that each estimator takes in a search of 100 candidates.

    python -m experiments.overhead.estimators experiments/responses/example_0

Answers are the recorded ones of the embedded example, so that models cost nothing: NSGA-II, accuracy on two exams,
every batch asked 20 other items of each.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from evomerge import executors
from evomerge.analysis import estimators
from evomerge.executors._shared.response_table import read_table
from evomerge.search import AllocationSettings, PromoteSettings, run
from evomerge.store import RunStore
from experiments.responses import replay

OBJECTIVES = ("exam_a.acc", "exam_b.acc")


def seconds(table: Path, estimator: str, evaluations: int = 100) -> float:
    """CPU seconds of a search."""
    plan = replay.plan(read_table(table), "example", "nsga2", OBJECTIVES, evaluations)
    allocation = AllocationSettings("rotating", items=20, estimator=estimator)
    plan = replace(plan, allocation=allocation, promotion=PromoteSettings(0), finalists=0)
    executor = executors.make("recorded", _no_worker, table=str(table), unknown="interpolated")
    with tempfile.TemporaryDirectory() as folder, RunStore.open(Path(folder) / "run", {}, {}) as store:
        started = time.process_time()
        run(plan, executor, store)
        return time.process_time() - started


def _no_worker() -> executors.Worker:
    raise AssertionError("answers are looked up")


def main() -> None:
    """Reads the command line and prints each estimator's seconds beyond those of the mean."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="folder of a table of the embedded example")
    arguments = parser.parse_args()
    seconds(arguments.table, "mean")  # loads what all need
    plain = min(seconds(arguments.table, "mean") for _ in range(3))
    print(f"mean {plain:.2f} s, all of the search's own work included; beyond that:")
    for name in estimators.names():
        if name != "mean":
            print(f"{name} {max(min(seconds(arguments.table, name) for _ in range(2)) - plain, 0.0):.2f} s")


if __name__ == "__main__":
    main()
