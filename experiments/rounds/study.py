"""One round, three, and a last one of noise, at equal budget on the embedded family.

    python -m experiments.rounds.study [--work FOLDER] [--seeds N]

Each search's figures are a line of FOLDER/searches.jsonl as soon as it is over. A repeated command goes on;
in a new folder it goes on from the committed figures.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np

import evomerge
from evomerge.texts import write_text
from experiments import json_lines
from experiments.methods.study import Family, families, returned

CANDIDATES, ITEMS, POPULATION = 60, 64, 8
RESULTS, WORK = Path("results/rounds"), Path("experiments/rounds/work")
WAYS: Mapping[str, Mapping[str, Any]] = {
    "one round": {},
    "three rounds": {"rounds": 3},
    "two rounds, then noise": {"rounds": 3, "round.last": "noise", "round.noise": {"directions": 8}},
}


def search(family: Family, way: str, seed: int, folder: Path) -> dict[str, Any]:
    """One search, and what it returns."""
    started = time.perf_counter()
    run = evomerge.search(
        **family.values,
        **WAYS[way],
        genome="auto",
        objectives=[f"{task}.acc" for task in family.tasks],
        evaluations=CANDIDATES,
        items_per_task=ITEMS // len(family.tasks),
        **{"searcher.population": POPULATION},
        seed=seed,
        run_dir=str(folder),
    )
    return {**returned(run, family), "seconds": round(time.perf_counter() - started, 2)}


def write(found: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Writes figures and page."""
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "study.json", json.dumps(list(found), indent=1) + "\n")
    if {entry["way"] for entry in found} != set(WAYS):
        return
    seeds = sorted(set.intersection(*({e["seed"] for e in found if e["way"] == way} for way in WAYS)))
    score = {(entry["way"], entry["seed"]): 100.0 * entry["score"] for entry in found}
    volume = {(entry["way"], entry["seed"]): 100.0 * entry["hypervolume"] for entry in found}
    first = next(iter(WAYS))
    lines = [
        "# Rounds at equal budget",
        "",
        f"Embedded family, two experts, task arithmetic, NSGA-II with {POPULATION} candidates a batch, {CANDIDATES} "
        f"candidates of {ITEMS} items, seeds {', '.join(map(str, seeds))}. Scores are of the returned model, the mean "
        "of both tasks on held-out items, in %; the hypervolume is that of all confirmed members. Differences are to "
        "one round of the same seed.",
        "",
        "| way | score | by seed | difference | least and most | hypervolume | difference | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for way in WAYS:
        own, other = (np.array([score[name, seed] for seed in seeds]) for name in (way, first))
        gap = own - other
        space = np.array([volume[way, seed] for seed in seeds])
        more = space - np.array([volume[first, seed] for seed in seeds])
        seconds = np.mean([entry["seconds"] for entry in found if entry["way"] == way])
        differs = "-" if way == first else f"{gap.mean():+.1f}"
        ends = "-" if way == first else f"{gap.min():+.1f} to {gap.max():+.1f}"
        wider = "-" if way == first else f"{more.mean():+.1f}"
        each = ", ".join(f"{one:.1f}" for one in own)
        cells = [way, f"{own.mean():.1f}", each, differs, ends, f"{space.mean():.1f}", wider, f"{seconds:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "So few seeds of one toy family show no more than that rounds work end to end; a difference within two points "
        "is noise. Seconds were taken while much other work ran on the core, and say nothing of what rounds cost.",
    ]
    write_text(out / "study.md", "\n".join(lines) + "\n")


def main() -> None:
    """The command line; the page is of the seeds that all ways have."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    file, family = arguments.work / "searches.jsonl", families(Path("none"))["example"]
    arguments.work.mkdir(parents=True, exist_ok=True)
    known = arguments.out / "study.json"
    if not file.exists() and known.exists():
        for entry in json.loads(known.read_text(encoding="utf-8")):
            json_lines.append(file, entry)
    done = {(entry["way"], entry["seed"]) for entry in json_lines.read(file)}
    for seed in range(arguments.seeds):
        for way in WAYS:
            if (way, seed) in done:
                continue
            folder = arguments.work / f"{way.replace(' ', '-').replace(',', '')}-{seed}"
            found = search(family, way, seed, folder)
            json_lines.append(file, {"way": way, "seed": seed, **found})
            shutil.rmtree(folder)
            print(f"{way}, seed {seed}: {100 * found['score']:.1f} %, {found['seconds']:.1f} s", flush=True)
    write(json_lines.read(file), arguments.out)


if __name__ == "__main__":
    main()
