"""At least a hundred kills of drivers, workers and nodes at random moments, and how many records are wrong then.

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
from experiments.faults.grounds import GROUNDS, Ground, processes
from experiments.faults.page import write_page
from experiments.faults.torment import Torment
from experiments.faults.trace import VARIABLE
from experiments.machine import machine

ROOT = Path(__file__).parents[2]
TRACE = "trace.txt"


@dataclass(frozen=True)
class Kind:
    """A kind of search.

    Attributes:
        title: For people.
        share: Of the kills.
        longest: Seconds from something new to the kill, at most.
        command: Words of the driver, from where it runs, and the folder.
    """

    title: str
    share: float
    longest: float
    command: Callable[[Ground, Path], list[str]]


def _cheap(ground: Ground, folder: Path) -> list[str]:
    words = [str(folder / "run"), str(folder / TRACE), ground.executor, json.dumps(dict(ground.options))]
    return ["-m", "experiments.faults.cheap", *words]


def _example(ground: Ground, folder: Path) -> list[str]:
    options = dict(ground.options)
    words = [f"executor={ground.executor}", f"executor.workers={options.pop('workers')}"]
    words += [f"executor.options.{name}='{value}'" for name, value in options.items()]
    functions = f"functions=[{ROOT / 'experiments' / 'faults' / 'trace.py'}:begun]"
    sizes = ["evaluations=18", "searcher.population=6", "items_per_task=20", "test_items_per_task=10"]
    settings = [*sizes, "confirm.finalists=2", "progress=none", f"run_dir={folder / 'run'}"]
    return ["-m", "evomerge", "search", "experiment=example", *words, functions, *settings]


KINDS = {
    "cheap": Kind("scored by formulas, a tenth fails", 0.85, 0.3, _cheap),
    "example": Kind("the embedded example, its models merged and asked", 0.15, 2.0, _example),
}


def start(kind: Kind, ground: Ground, folder: Path) -> subprocess.Popen[str]:
    """Starts a search, or goes on with it."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", VARIABLE: str(folder / TRACE)}
    with (folder / "output.txt").open("a") as output:
        return subprocess.Popen(
            [sys.executable, *kind.command(ground, folder)],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=output,
            stderr=output,
            text=True,
        )


def undisturbed(name: str, work: Path) -> Path:
    """The folder of the search that nothing happens to, whatever executor others have; made once."""
    folder, done = work / f"{name}-whole", work / f"{name}-whole.done"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        with processes() as ground:
            code = start(KINDS[name], ground, folder).wait()
        assert code == 0, f"the undisturbed search ended with code {code}, see {folder / 'output.txt'}"
        done.touch()
    return folder / "run"


def tormented(name: str, ground: Ground, seed: int, work: Path, most: int) -> dict[str, Any]:
    """One search, killed up to ``most`` times."""
    kind, random = KINDS[name], np.random.default_rng([seed, len(name)])
    folder = work / f"{ground.executor}-{name}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    torment = Torment(lambda: start(kind, ground, folder), ground, folder / "run", folder / TRACE, random)
    began = time.monotonic()
    victims = random.choice(["driver", *ground.victims], size=most)
    torment.run([str(victim) for victim in victims], kind.longest)
    found = torment.result(undisturbed(name, work))
    shutil.rmtree(folder)
    seconds = round(time.monotonic() - began, 1)
    return {"executor": ground.executor, "search": name, "seed": seed, **found, "seconds": seconds}


def study(work: Path, executors: Sequence[str], kills: int) -> list[dict[str, Any]]:
    """Searches until there were so many kills for each executor; what an earlier command did counts."""
    file = work / "faults.jsonl"
    for executor in executors:
        with GROUNDS[executor]() as ground:
            for name, kind in KINDS.items():
                while left := _left(file, (executor, name), round(kills * kind.share)):
                    undisturbed(name, work)
                    seed = 1 + max((e["seed"] for e in _done(file, (executor, name))), default=0)
                    entry = tormented(name, ground, seed, work, min(left, 8))
                    json_lines.append(file, entry)
                    print(json.dumps(entry), flush=True)
    return json_lines.read(file)


def _done(file: Path, which: tuple[str, str]) -> list[dict[str, Any]]:
    return [entry for entry in json_lines.read(file) if (entry["executor"], entry["search"]) == which]


def _left(file: Path, which: tuple[str, str], kills: int) -> int:
    return max(kills - sum(sum(entry["kills"].values()) for entry in _done(file, which)), 0)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="of each executor")
    parser.add_argument("--executors", nargs="+", default=list(GROUNDS), choices=list(GROUNDS))
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
