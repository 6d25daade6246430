"""The framework's own time per candidate: searches whose candidates cost nothing, timed part by part.

Run from the repository root: ``python -m experiments.overhead.study``

Each measurement is written to ``overhead.json`` as it is done; a repeated command goes on with what is missing.
``--again`` measures everything anew.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from evomerge import executors, report
from evomerge.search import Progress, SearchPlan, run
from evomerge.store import RunStore
from experiments.machine import machine
from experiments.overhead.analytic import OBJECTIVES, Analytic, plan
from experiments.overhead.page import write_page

PARTS = 10  # of a search, that are told apart: the last must not be slower than the first
ITEMS = 5  # per task; there are two tasks
SEARCHERS = {"nsga2": 2000, "cmaes": 2000}  # candidates, whose proposals are timed


class Clock:
    """Wall and CPU seconds of what is timed apart: worker, searcher, decoding of genomes, waiting for the disk."""

    def __init__(self) -> None:
        self.spent = {name: [0.0, 0.0] for name in ("worker", "searcher", "decoding", "fsync")}

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its seconds counted under a name."""

        def call(*arguments: Any) -> Any:
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                return function(*arguments)
            finally:
                self.spent[name][0] += time.perf_counter() - wall
                self.spent[name][1] += time.process_time() - cpu

        return call

    def now(self) -> dict[str, list[float]]:
        """All that has been counted, and under ``all`` the time itself."""
        return {
            "all": [time.perf_counter(), time.process_time()],
            **{name: list(two) for name, two in self.spent.items()},
        }

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts what is spent waiting for the disk."""
        synced = os.fsync
        os.fsync = self.timed("fsync", synced)
        try:
            yield
        finally:
            os.fsync = synced


class _Timed:
    """A searcher whose proposals are timed."""

    def __init__(self, searcher: Any, clock: Clock) -> None:
        self.name = searcher.name
        self.ask = clock.timed("searcher", searcher.ask)
        self.tell = clock.timed("searcher", searcher.tell)


class _TimedGenome:
    """A search space whose decoding is timed."""

    def __init__(self, genome: Any, clock: Clock) -> None:
        self.n_var = genome.n_var
        self.decode = clock.timed("decoding", genome.decode)


def timed_search(folder: Path, work: SearchPlan) -> dict[str, Any]:
    """Runs a search, or replays one.

    Returns:
        ``parts``, milliseconds per candidate, ``[wall, cpu]``, by what they were spent on, for each part of the search;
        ``seconds``, wall and CPU of all of it.
    """
    clock, candidates = Clock(), work.budgets.evaluations or 0
    make, genome = work.searcher, cast(Any, _TimedGenome(work.genome, clock))
    work = replace(work, searcher=lambda problem: _Timed(make(problem), clock), genome=genome)
    marks: list[dict[str, list[float]]] = []

    def follow(progress: Progress) -> None:
        if progress.phase == "search" and progress.done % (candidates // PARTS) == 0:
            marks.append(clock.now())

    begin = clock.now()
    manifest = {"objectives": [objective.to_json() for objective in OBJECTIVES]}
    with clock.waiting(), RunStore.open(folder, manifest, {}) as store:
        run(work, executors.make("local", lambda: clock.timed("worker", Analytic())), store, follow)
    end = clock.now()
    each = candidates // PARTS
    parts = [_between(a, b, each) for a, b in pairwise(marks)]
    return {"parts": parts, "seconds": [round(b - a, 3) for a, b in zip(begin["all"], end["all"], strict=True)]}


def _between(begin: dict[str, list[float]], end: dict[str, list[float]], candidates: int) -> dict[str, list[float]]:
    """Milliseconds per candidate between two marks; ``framework`` is what is left when all that is counted is taken."""
    found = {
        name: [1000.0 * (b - a) / candidates for a, b in zip(begin[name], end[name], strict=True)] for name in begin
    }
    whole = found.pop("all")
    found["framework"] = [whole[k] - sum(two[k] for two in found.values()) for k in (0, 1)]
    return {name: [round(value, 4) for value in two] for name, two in found.items()}


def measurements(candidates: int, folder: Path) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Names of measurements and how each is made, in order: later ones use what earlier ones left in the folder."""
    main = plan("random", candidates, ITEMS)
    main_folder = folder / "random"

    def search() -> dict[str, Any]:
        return timed_search(main_folder, main)

    def again(measure: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
        def call() -> dict[str, Any]:
            if not (main_folder / "status.json").exists():  # an earlier command made the search
                search()
            return measure()

        return call

    yield "search", search
    yield "replay", again(search)
    yield "report", again(lambda: _whole(lambda: report.write(main_folder)))
    yield "search, 100 items", lambda: timed_search(folder / "items", plan("random", candidates // 10, 10 * ITEMS))
    for name, count in SEARCHERS.items():
        yield f"search, {name}", lambda name=name, count=count: timed_search(folder / name, plan(name, count, ITEMS))


def _whole(work: Callable[[], Any]) -> dict[str, Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {"seconds": [round(time.perf_counter() - wall, 3), round(time.process_time() - cpu, 3)]}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path("results/overhead"))
    parser.add_argument("--again", action="store_true", help="measure everything anew")
    arguments = parser.parse_args()
    kept = arguments.out / "overhead.json"
    known = json.loads(kept.read_text()) if kept.exists() and not arguments.again else {}
    if known.get("candidates") != arguments.candidates:
        known = {
            "candidates": arguments.candidates,
            "items": 2 * ITEMS,
            **machine("numpy", "pymoo", "cma"),
            "found": {},
        }
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, measure in measurements(arguments.candidates, Path(folder)):
            if name not in known["found"]:
                known["found"][name] = measure()
                kept.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    print(write_page(known, arguments.out / "overhead.md"))


if __name__ == "__main__":
    main()
