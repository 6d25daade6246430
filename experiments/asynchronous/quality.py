"""Whether a search without batches finds as good merges as one of generations, at an equal number of candidates.

    python -m experiments.asynchronous.quality

Answers come from a table of recorded responses, and workers live in a time of their own: each candidate takes a number
of seconds, and the executor brings results in the order in which they would end. So the figures depend on no machine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from evomerge.analysis.pareto import hypervolume
from evomerge.evaluation import Job
from evomerge.executors import Result, Worker, WorkerState, call
from evomerge.executors._shared.response_table import ResponseTable, read_table
from evomerge.executors.recorded import RecordedWorker
from evomerge.search import SearcherSettings, SearchPlan, factory, run, searchers
from evomerge.store import RunStore, baselines, candidates
from experiments.repeats import points
from experiments.responses import replay

TABLE = Path("experiments/responses/example_0")
OBJECTIVES = {"nsga2": ("exam_a.acc", "exam_b.acc"), "ga": ("exam_a.acc",)}
CANDIDATES, SEEDS, POPULATION, SPREAD = 128, 10, 16, 0.3
WORKERS = {  # seconds of a candidate on each
    "generations, 8 workers": (1.0,) * 8,
    "one worker": (1.0,),
    "8 workers": (1.0,) * 8,
    "6 workers and 2 of a quarter of their speed": (1.0,) * 6 + (4.0,) * 2,
    "64 workers": (1.0,) * 64,
}


class Timed:
    """Runs jobs on workers whose time is counted and not waited for; who is free earliest takes the next job.

    Args:
        worker: Answers.
        seconds: Mean seconds of a candidate, by worker; single ones differ as a log-normal with `SPREAD`.
        seed: Of these differences.

    Attributes:
        now: Seconds that have passed.
    """

    def __init__(self, worker: Worker, seconds: Sequence[float], seed: int) -> None:
        self.now = 0.0
        self.capacity = len(seconds)
        self._worker = worker
        self._seconds = seconds
        self._random = np.random.default_rng(seed)
        self._free = [0.0] * len(seconds)
        self._ends: dict[str, tuple[float, int, Job]] = {}

    def submit(self, job: Job) -> None:
        """Gives the job to the worker that is free first."""
        number = int(np.argmin(np.maximum(self._free, self.now)))
        factor = float(np.exp(SPREAD * self._random.standard_normal() - SPREAD**2 / 2))
        self._free[number] = max(self._free[number], self.now) + self._seconds[number] * factor
        self._ends[job.id] = (self._free[number], number, job)

    def results(self, room: Callable[[], None] | None = None) -> Iterator[Result]:
        """Results as they end."""
        while self._ends:
            id = min(self._ends, key=lambda id: self._ends[id][0])
            self.now, number, job = self._ends.pop(id)
            yield Result(id, 1, f"worker {number}", call(self._worker, job))

    def workers(self) -> Sequence[WorkerState]:
        """None that anybody could watch."""
        return ()

    def cancel(self, job: str) -> None:
        """Forgets a job."""
        self._ends.pop(job, None)

    def close(self) -> None:
        """Nothing."""


def search(table: ResponseTable, searcher: str, workers: str, seed: int, folder: Path) -> dict[str, Any]:
    """One search: what it found and how long it took, in the workers' time."""
    plan = replay.plan(table, "example", searcher, OBJECTIVES[searcher], CANDIDATES)
    chosen = SearcherSettings(population=POPULATION, name=searcher, seed=seed)
    steady = None if workers.startswith("generations") else POPULATION
    plan = replace(
        plan, searcher=factory(searcher, searchers.load(searcher).complete(chosen)), finalists=0, steady=steady
    )
    executor = Timed(RecordedWorker(table, "interpolated"), WORKERS[workers], seed)
    with RunStore.open(folder, {}, {}) as store:
        run(plan, executor, store)
    found = RunStore.read(folder)
    return {
        "searcher": searcher,
        "workers": workers,
        "seed": seed,
        "seconds": round(executor.now, 3),
        "quality": _quality(found, plan),
    }


def _quality(store: RunStore, plan: SearchPlan) -> list[float]:
    """After each quarter of the candidates: of one objective its best score, of two the hypervolume."""
    keys = [key for objective in plan.objectives for _, key in objective.terms]
    rows = np.array([[one.metrics[key] for key in keys] for one in candidates(store) if one.error is None])
    worst = np.array([[one.metrics[key] for key in keys] for one in baselines(store, "search").values()]).min(axis=0)
    cuts = [len(rows) * quarter // 4 for quarter in range(1, 5)]
    if len(keys) == 1:
        return [float(rows[:cut].max()) for cut in cuts]
    return [float(hypervolume(-rows[:cut], -worst)) for cut in cuts]


def page(rows: Sequence[dict[str, Any]]) -> str:
    """Differences to generations, paired by seed."""
    lines = []
    for searcher, objectives in OBJECTIVES.items():
        what = "best score" if len(objectives) == 1 else "hypervolume over the worst baseline"
        lines += ["", f"`{searcher}`, {', '.join(objectives)}: {what} on search items, and the workers' time", ""]
        lines += [f"| | after {CANDIDATES // 2} | after {CANDIDATES} | difference to generations | time |"]
        lines += ["|---|---|---|---|---|"]
        base = _of(rows, searcher, next(iter(WORKERS)))
        for name in WORKERS:
            own = _of(rows, searcher, name)
            half, end = (np.mean([row["quality"][place] for row in own]) for place in (1, 3))
            apart = np.array([row["quality"][3] - other["quality"][3] for row, other in zip(own, base, strict=True)])
            gap = "" if own == base else points(apart)
            seconds = np.mean([row["seconds"] for row in own])
            lines.append(f"| {name} | {half:.4f} | {end:.4f} | {gap} | {seconds:.0f} s |")
    return "\n".join(lines).strip() + "\n"


def whole(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The searches of the seeds of which all are there, by seed."""
    counts = Counter(row["seed"] for row in rows)
    complete = (row for row in rows if counts[row["seed"]] == len(OBJECTIVES) * len(WORKERS))
    return sorted(complete, key=lambda row: row["seed"])


def _of(rows: Sequence[dict[str, Any]], searcher: str, workers: str) -> list[dict[str, Any]]:
    return [row for row in rows if (row["searcher"], row["workers"]) == (searcher, workers)]


def main() -> None:
    """Runs the searches that are missing and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/asynchronous/quality.jsonl"))
    parser.add_argument("--scratch", type=Path, help="folder for the runs, best in memory")
    arguments = parser.parse_args()
    out: Path = arguments.out
    rows = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    known, table = {(row["searcher"], row["workers"], row["seed"]) for row in rows}, read_table(TABLE)
    out.parent.mkdir(parents=True, exist_ok=True)
    for seed in range(SEEDS):
        for searcher in OBJECTIVES:
            for workers in WORKERS:
                if (searcher, workers, seed) in known:
                    continue
                with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
                    rows.append(search(table, searcher, workers, seed, Path(folder) / "run"))
                with out.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
    print(page(whole(rows)))


if __name__ == "__main__":
    main()
