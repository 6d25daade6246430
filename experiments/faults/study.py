"""At least a hundred kills of drivers and workers at random moments, and whether a record is wrong after any of them.

    python -m experiments.faults.study [--kills 100] [--executors processes]

Each search is run once undisturbed; then again and again, killed up to eight times each. What is done is kept in
``faults.jsonl`` in the work folder; a repeated command goes on. Writes ``README.md`` and ``faults.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments import json_lines
from experiments.faults.page import write_page
from experiments.faults.torment import Torment, children
from experiments.faults.trace import VARIABLE
from experiments.machine import machine

ROOT = Path(__file__).parents[2]
TRACE = "trace.txt"

# Name of an executor to its options and to what finds its workers; another one that is to be tried is a line here.
EXECUTORS: dict[str, tuple[dict[str, Any], Callable[[int], Sequence[int]]]] = {
    "processes": ({"workers": 2}, children),
}


@dataclass(frozen=True)
class Kind:
    """A kind of search.

    Attributes:
        title: For people.
        share: Of the kills.
        longest: Seconds from something new to the kill, at most.
        command: Words of the driver, from executor, its options, and the folder.
    """

    title: str
    share: float
    longest: float
    command: Callable[[str, dict[str, Any], Path], list[str]]


def _cheap(executor: str, options: dict[str, Any], folder: Path) -> list[str]:
    trace = str(folder / TRACE)
    return ["-m", "experiments.faults.cheap", str(folder / "run"), trace, executor, json.dumps(options)]


def _example(executor: str, options: dict[str, Any], folder: Path) -> list[str]:
    words = [f"executor={executor}", *(f"executor.{name}={value}" for name, value in options.items())]
    functions = f"functions=[{ROOT / 'experiments' / 'faults' / 'trace.py'}:begun]"
    sizes = ["evaluations=18", "searcher.population=6", "items_per_task=20", "test_items_per_task=10"]
    settings = [*sizes, "confirm.finalists=2", "progress=none", f"run_dir={folder / 'run'}"]
    return ["-m", "evomerge", "search", "experiment=example", *words, functions, *settings]


KINDS = {
    "cheap": Kind("scored by formulas, a tenth fails", 0.85, 0.3, _cheap),
    "example": Kind("the embedded example, its models merged and asked", 0.15, 2.0, _example),
}


def start(kind: Kind, executor: str, folder: Path) -> subprocess.Popen[str]:
    """Starts a search, or goes on with it."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", VARIABLE: str(folder / TRACE)}
    with (folder / "output.txt").open("a") as output:
        return subprocess.Popen(
            [sys.executable, *kind.command(executor, EXECUTORS[executor][0], folder)],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=output,
            stderr=output,
            text=True,
        )


def undisturbed(name: str, executor: str, work: Path) -> Path:
    """The folder of the search that nothing happens to; made once."""
    folder, done = work / f"{executor}-{name}-whole", work / f"{executor}-{name}-whole.done"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        code = start(KINDS[name], executor, folder).wait()
        assert code == 0, f"the undisturbed search ended with code {code}, see {folder / 'output.txt'}"
        done.touch()
    return folder / "run"


def tormented(name: str, executor: str, seed: int, work: Path, most: int) -> dict[str, Any]:
    """One search, killed up to ``most`` times."""
    kind, random = KINDS[name], np.random.default_rng([seed, len(name)])
    folder = work / f"{executor}-{name}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    torment = Torment(
        lambda: start(kind, executor, folder), EXECUTORS[executor][1], folder / "run", folder / TRACE, random
    )
    began = time.monotonic()
    torment.run([str(victim) for victim in random.choice(["driver", "worker"], size=most)], kind.longest)
    found = torment.result(undisturbed(name, executor, work))
    shutil.rmtree(folder)
    seconds = round(time.monotonic() - began, 1)
    return {"executor": executor, "search": name, "seed": seed, **found, "seconds": seconds}


def study(work: Path, executors: Sequence[str], kills: int) -> list[dict[str, Any]]:
    """Searches until there were so many kills for each executor; what an earlier command did counts."""
    file = work / "faults.jsonl"
    for executor in executors:
        for name, kind in KINDS.items():
            while True:
                done = [e for e in json_lines.read(file) if (e["executor"], e["search"]) == (executor, name)]
                left = round(kills * kind.share) - sum(sum(e["kills"].values()) for e in done)
                if left <= 0:
                    break
                undisturbed(name, executor, work)
                seed = 1 + max((e["seed"] for e in done), default=0)
                entry = tormented(name, executor, seed, work, min(left, 8))
                json_lines.append(file, entry)
                print(json.dumps(entry), flush=True)
    return json_lines.read(file)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="of each executor")
    parser.add_argument("--executors", nargs="+", default=list(EXECUTORS), choices=list(EXECUTORS))
    parser.add_argument("--work", type=Path, default=Path("runs/faults"))
    parser.add_argument("--out", type=Path, default=Path("results/faults"))
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    found = study(arguments.work, arguments.executors, arguments.kills)
    known = {**machine("numpy", "torch", "transformers", "pymoo"), "searches": found}
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "faults.json").write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    print(write_page(known, {name: kind.title for name, kind in KINDS.items()}, arguments.out / "README.md"))


if __name__ == "__main__":
    main()
