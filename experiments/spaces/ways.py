"""Spaces and searchers at equal budget: whole searches of the embedded family, all judged in the same way.

    python -m experiments.spaces.ways [--work FOLDER] [--seeds N]
    python -m experiments.spaces.ways --page

A search only proposes and scores candidates, as users' searches do; what it returns is judged here, so that searchers
for one objective, for several, and archives meet on equal terms. Each search's figures are a line of FOLDER/ways.jsonl
as soon as it is over. A repeated command goes on; in a new folder it goes on from the committed figures.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np

import evomerge
from evomerge.evaluation import Evaluation
from evomerge.recipe import Recipe
from experiments import json_lines
from experiments.spaces.families import pair
from experiments.spaces.landscape import Landscape, random_of
from experiments.spaces.searching import Windows, returned
from experiments.spaces.ways_page import committed, write

CANDIDATES, BATCH, SEEDS = 60, 8, 10
SEARCH_ITEMS, SELECTION_ITEMS = 32, 100  # of each task; fresh items are all of the test split
RESULTS, WORK = Path("results/spaces"), Path("experiments/spaces/work")
TASKS = ("exam_a.acc", "exam_b.acc")
MEAN = {"objectives": ["0.5*exam_a.acc + 0.5*exam_b.acc"]}
PATH = {"genome.layers": "path"}
PRIOR = {"searcher": "gp", "searcher.options.prior": "deltas"}
# Those that the study is about, then what else the published spaces have; each differs from the first in what it names.
WAYS: Mapping[str, Mapping[str, Any]] = {
    "merge, nsga2": {},
    "path": {**PATH, "method": "linear"},
    "two rounds": {"rounds": 2},
    "a round, then one of noise": {"rounds": 2, "round.last": "noise", "round.noise": {"directions": 8}},
    "merge, map_elites": {**MEAN, "searcher": "map_elites"},
    "merge, cma_me": {**MEAN, "searcher": "cma_me"},
    "merge, cycleqd": {"searcher": "cycleqd"},
    "merge, m2n2": {**MEAN, "searcher": "m2n2", "method": "linear"},
    "merge, tpe": {"searcher": "tpe"},
    "merge, gp": {"searcher": "gp"},
    "merges, then paths through the best and the experts": {
        **PATH, "rounds": 2, "round.elites": 1, "round.experts": True
    },
    "path through models and merge at once": {**PATH, "genome.through": "both"},
    "path without scales": {**PATH, "method": "linear", "genome.scales": "none"},
    "data_flow": {"genome.layers": "data_flow", "method": "linear"},
    "three rounds": {"rounds": 3},
    "two rounds, then one of noise": {"rounds": 3, "round.last": "noise", "round.noise": {"directions": 8}},
    "merge, gp with the prior": PRIOR,
    "layers, nsga2": {"genome": "layer"},
    "layers, gp": {"genome": "layer", "searcher": "gp"},
    "layers, gp with the prior": {"genome": "layer", **PRIOR},
}  # fmt: skip


def search(way: str, seed: int, folder: Path) -> evomerge.Run:
    """One search, without what follows the last candidate."""
    base: dict[str, Any] = {
        "experiment": "example", "method": "task_arithmetic", "genome": "auto", "objectives": list(TASKS),
        "searcher.population": BATCH, "confirm.finalists": 0,
    }  # fmt: skip
    return evomerge.search(
        **{**base, **WAYS[way]},
        evaluations=CANDIDATES,
        items_per_task=SEARCH_ITEMS,
        seed=seed,
        run_dir=str(folder),
    )


def judge(run: evomerge.Run, landscape: Landscape, seed: int) -> dict[str, Any]:
    """What a search returns, by selection items and test items that are the same for all searches of a seed."""
    found: dict[str, Evaluation] = {}
    records = [record for record in run.evaluations("search") if not record.name]
    for record in records:
        if record.error is None:
            found.setdefault(record.digest, record)
    recipes = [Recipe.from_json(record.recipe) for record in found.values()]
    scores = np.array([[record.metrics[task] for task in TASKS] for record in found.values()])
    selection = landscape.window("selection", SELECTION_ITEMS, random_of("selection", seed))
    windows = Windows(landscape.window("search", 1), selection, landscape.window("test", None))
    judged = returned(landscape, recipes, scores, windows)
    landscape.forget()
    genes = run.manifest.get("genome", {}).get("labels")
    return {
        **{what: judged[what] for what in ("returned", "hypervolume", "claimed", "observed")},
        "candidates": len(records),
        "different": len(recipes),
        "failed": sum(record.error is not None for record in records),
        "genes": None if genes is None else len(genes),
        "layers": len(recipes[judged["row"]].layers) or None,
    }


def run(work: Path, out: Path, seeds: int, only: list[str] | None) -> None:
    """Does what is missing, seed by seed."""
    file = work / "ways.jsonl"
    if not file.exists():  # elsewhere a part may be done, and committed
        for entry in committed(out):
            json_lines.append(file, entry)
    done = {(entry["way"], entry["seed"]) for entry in json_lines.read(file)}
    todo = [(way, seed) for seed in range(seeds) for way in (only or WAYS) if (way, seed) not in done]
    landscape = Landscape(pair(), work / "ways-prepared") if todo else None
    for way, seed in todo:
        assert landscape is not None
        folder, started = work / f"ways-{list(WAYS).index(way)}-{seed}", time.process_time()
        shutil.rmtree(folder, ignore_errors=True)
        searched = search(way, seed, folder)
        seconds = time.process_time() - started
        found = judge(searched, landscape, seed)
        json_lines.append(file, {"way": way, "seed": seed, **found, "seconds": round(seconds, 1)})
        shutil.rmtree(folder)
        whole = time.process_time() - started
        print(f"{way}, seed {seed}: {found['returned']:.3f}, {seconds:.1f} of {whole:.1f} s", flush=True)


def main() -> None:
    """Reads the command line, searches, writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=WORK, help="for what is done")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"searches of each way (default: {SEEDS})")
    parser.add_argument("--ways", nargs="*", choices=WAYS, help="only these")
    parser.add_argument("--page", action="store_true", help="write the page from what there is, and search nothing")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the page")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    if not arguments.page:
        run(arguments.work, arguments.out, arguments.seeds, arguments.ways)
    write(json_lines.read(arguments.work / "ways.jsonl") or committed(arguments.out), list(WAYS), arguments.out)


if __name__ == "__main__":
    main()
