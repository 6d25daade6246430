"""How busy workers of equal and of very different speeds are, in batches and without.

    python -m experiments.asynchronous.workers

Workers are processes that sleep instead of scoring, so the figures are the framework's and the machine's, not a
model's.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evomerge import executors
from evomerge.evaluation import Ask, Job, Outcome
from evomerge.executors import Executor, Worker
from evomerge.search import SearchPlan, run
from evomerge.search.events import Asked, Event, Scored
from evomerge.store import RunStore
from experiments.machine import machine
from experiments.overhead.analytic import Analytic, plan

POPULATION, ITEMS = 16, 5
SETTINGS = {  # name to seconds of a candidate on each worker, and candidates
    "8 workers of 1 s": ((1.0,) * 8, 400),
    "6 workers of 1 s and 2 of 4 s": ((1.0,) * 6 + (4.0,) * 2, 400),
}


@dataclass(frozen=True)
class Sleepers:
    """Makes workers in processes, each of a speed of its own.

    Attributes:
        folder: Where each takes a number that no other has.
        seconds: The seconds of a candidate, by number.
    """

    folder: str
    seconds: tuple[float, ...]

    def __call__(self) -> Worker:
        """A worker that sleeps and then answers."""
        number = next(number for number in range(1000) if self._free(number))
        seconds = self.seconds[number % len(self.seconds)]

        def work(job: Job) -> Outcome:
            time.sleep(seconds)
            return replace(Analytic()(job), seconds={"score": seconds})

        return work

    def _free(self, number: int) -> bool:
        try:
            os.close(os.open(Path(self.folder) / str(number), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True


class Clock:
    """When the first candidate was asked, the last one was, and the last one ended."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.ended: list[tuple[float, float, str]] = []

    def __call__(self, event: Event) -> None:
        """Takes an event in."""
        if isinstance(event, Asked) and event.batch:
            self.asked.append(time.monotonic())
        elif isinstance(event, Scored) and event.evaluation.batch:
            self.ended.append((time.monotonic(), event.seconds["score"], event.evaluation.digest))


def measure(seconds: tuple[float, ...], candidates: int, steady: bool) -> dict[str, Any]:
    """One search; shares of the workers' time, in all and by worker."""
    wanted = replace(plan("nsga2", candidates, ITEMS), finalists=0, steady=POPULATION if steady else None)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        executor = executors.make("processes", Sleepers(folder, seconds), workers=len(seconds))
        try:
            _start(executor, wanted)
            with RunStore.open(Path(folder) / "run", {}, {}) as store:
                run(wanted, executor, store, listeners=[clock])
                found = {e.digest: store.provenance(e).worker for e in store.evaluations("search")}
        finally:
            executor.close()
    begin, last, end = clock.asked[0], clock.asked[-1], clock.ended[-1][0]
    busy: Counter[str] = Counter()
    before: Counter[str] = Counter()
    for at, slept, digest in clock.ended:
        busy[found[digest]] += slept
        before[found[digest]] += max(min(at, last) - max(at - slept, begin), 0.0)
    early = sum(before.values()) / (len(seconds) * (last - begin))
    return {
        "seconds": round(end - begin, 2),
        "busy": round(sum(busy.values()) / (len(seconds) * (end - begin)), 4),
        "busy_before_the_last_ask": round(early, 4) if steady else None,
        "by_worker": {name: round(value / (end - begin), 4) for name, value in sorted(busy.items())},
    }


def _start(executor: Executor, wanted: SearchPlan) -> None:
    """Waits until every worker is there, by a job for each: the seconds in which processes start are not measured."""
    recipe, items = next(iter(wanted.baselines.values())), wanted.items["search"]
    places = (Ask("test", 99, index) for index in range(executor.capacity))
    for _ in executors.run(executor, [Job.of(recipe, items, place) for place in places]):
        pass


def main() -> None:
    """Measures what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/asynchronous/workers.json"))
    arguments = parser.parse_args()
    out: Path = arguments.out
    known = json.loads(out.read_text()) if out.exists() else {"machine": machine(), "searches": {}}
    for name, (seconds, candidates) in SETTINGS.items():
        for mode in ("asynchronous", "synchronous"):
            if f"{name}, {mode}" not in known["searches"]:
                known["searches"][f"{name}, {mode}"] = measure(seconds, candidates, mode == "asynchronous")
                out.parent.mkdir(parents=True, exist_ok=True)
                out.write_text(json.dumps(known, indent=1) + "\n")
                print(f"{name}, {mode}: {known['searches'][f'{name}, {mode}']}", flush=True)


if __name__ == "__main__":
    main()
