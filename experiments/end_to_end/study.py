"""End to end at an equal budget of answered items: what is returned, what is claimed of it, and what is true.

    python -m experiments.end_to_end.study --work FOLDER               all runs, resumable
    python -m experiments.end_to_end.study --work FOLDER --page        the page from what there is

A run is a family, a benchmark drawn for it and a search seed, the same for all ways to spend the budget. Each search's
figures are a line of FOLDER/searches.jsonl as soon as it is over, so that a repeated command goes on where the last one
stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from evomerge.analysis import interval
from evomerge.recipe import Recipe
from experiments import json_lines
from experiments.end_to_end import fronts, ours, peers
from experiments.end_to_end.material import Material
from experiments.end_to_end.page import write
from experiments.end_to_end.ways import CORE, FRONTS, FURTHER, WAYS, Way
from experiments.machine import machine

Part = Callable[[Material, Way, int, Path], dict[str, Any]]
RUNS = 10
RESULTS = Path("results/end_to_end")


def search(material: Material, way: Way, run: int, folder: Path) -> dict[str, Any]:
    """One search, and the truth about what it returns."""
    started = time.perf_counter()
    recipe, found = (_practised if way.items else _searched)(material, way, run, folder)
    seconds = time.perf_counter() - started
    true = material.truth(run, recipe)
    return {**found, "true": float(true.mean()), "exams": true.tolist(), "seconds": round(seconds, 2)}


def _searched(material: Material, way: Way, run: int, folder: Path) -> tuple[Recipe, dict[str, Any]]:
    found = ours.search(material.family(run), way, run, folder)
    shutil.rmtree(folder)
    return found


def _practised(material: Material, way: Way, run: int, folder: Path) -> tuple[Recipe, dict[str, Any]]:
    """The peers state no interval; the one that belongs to their claim if nothing had been chosen by it."""
    assert way.items is not None
    best = peers.evolve(material.landscape(run), way.items, way.budget, run)
    asked = 2 * way.items
    right = round(best.score * asked)
    naive = interval([1.0] * right + [0.0] * (asked - right), binary=True)
    claim = {"claimed": best.score, "low": naive.low, "high": naive.high}
    return best.recipe, {**claim, "items": best.candidates * asked, "candidates": best.candidates}


def front(material: Material, way: Way, run: int, folder: Path) -> dict[str, Any]:
    """One search for two objectives, and the truth about its front."""
    found = fronts.search(material, way, run, folder)
    shutil.rmtree(folder)
    return found


# Name, what is done, for which ways; `further` goes into the file of the first.
PARTS: Mapping[str, tuple[str, Part, Sequence[Way]]] = {
    "searches": ("searches", search, CORE),
    "further": ("searches", search, FURTHER),
    "fronts": ("fronts", front, FRONTS),
}


def run(work: Path, part: str, runs: Sequence[int], ways: Sequence[Way], material: Material | None = None) -> None:
    """Does what is missing, run by run, so that whatever is there when the study is stopped is balanced."""
    work.mkdir(parents=True, exist_ok=True)
    material = material or Material(work)
    about = json.dumps(machine("torch", "transformers", "lm-eval", "cma", "pymoo"), indent=1)
    (work / "machine.json").write_text(about + "\n", encoding="utf-8")
    name, task, _ = PARTS[part]
    file = work / f"{name}.jsonl"
    done = {(entry["way"], entry["run"]) for entry in json_lines.read(file)}
    todo = [(number, way) for number in runs for way in ways if (way.name, number) not in done]
    known = {entry["run"] for entry in json_lines.read(work / "baselines.jsonl")}
    spent, asked = 0.0, 0
    for number, way in todo:
        if number not in known:
            json_lines.append(work / "baselines.jsonl", {"run": number, "scores": material.baselines(number)})
            known.add(number)
        started = time.perf_counter()
        folder = work / "run" / f"{part}-{number}-{way.name.replace(' ', '_')}"
        found = task(material, way, number, folder)
        json_lines.append(file, {"way": way.name, "run": number, **found})
        spent, asked = spent + time.perf_counter() - started, asked + way.times
        _tell(way, number, found, (sum(way.times for _, way in todo) - asked) * spent / asked)


def _tell(way: Way, number: int, found: Mapping[str, Any], left: float) -> None:
    claim = f"claimed {found['claimed']:.3f}, true {found['true']:.3f}"
    cost = f"{found['items']} items, {found['candidates']} candidates, {found['seconds']:.1f} s"
    print(f"run {number}, {way.name}: {claim}, {cost}, about {left / 60:.0f} min left", flush=True)


def main() -> None:
    """Reads the command line, searches, writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("experiments/end_to_end/work"), help="for models and figures")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"how many (default: {RUNS})")
    parser.add_argument("--first", type=int, default=0, help="number of the first run (default: 0)")
    parser.add_argument("--part", choices=list(PARTS), nargs="*", default=list(PARTS), help="only these (default: all)")
    parser.add_argument("--ways", nargs="*", default=[way.name for way in WAYS], help="only these (default: all)")
    parser.add_argument("--page", action="store_true", help="write the page from what there is, and search nothing")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the page")
    arguments = parser.parse_args()
    for part in () if arguments.page else arguments.part:
        chosen = [way for way in PARTS[part][2] if way.name in arguments.ways]
        run(arguments.work, part, range(arguments.first, arguments.first + arguments.runs), chosen)
    write(arguments.work, arguments.out)


if __name__ == "__main__":
    main()
