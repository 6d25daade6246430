"""Paths through layers and merges at equal budget: held-out score of what is returned.

    python -m experiments.paths.study [--work FOLDER]
    python -m experiments.paths.study --page

Each search's figures are a line of FOLDER/searches.jsonl as soon as it is over, so that a repeated command goes on.
"""

from __future__ import annotations

import argparse
import json
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
from scipy.stats import t

import evomerge
from experiments import json_lines
from experiments.methods.study import Family, best_of, families, returned

CANDIDATES, ITEMS, SEEDS, DEPTH = 40, 64, 3, 6
RESULTS, WORK = Path("results/paths"), Path("experiments/paths/work")
PATH = {"genome.layers": "path", "method": "linear"}
WAYS: Mapping[str, Mapping[str, Any]] = {
    "merge": {},
    "path": PATH,
    "path without scales": {**PATH, "genome.scales": "none"},
    "data_flow": {"genome.layers": "data_flow", "method": "linear"},
    "path through models and merge at once": {"genome.layers": "path", "genome.through": "both"},
}
IN_ORDER = "merge, then path through it and the models"


def search(family: Family, values: Mapping[str, Any], seed: int, folder: Path, candidates: int) -> evomerge.Run:
    """One search."""
    # Most of the work is answering held-out items: few candidates come so far.
    held_out = {"promote.candidates": 6, "confirm.finalists": 3, "confirm.scales": []}
    keys = {
        **held_out,
        "method": "task_arithmetic",
        "genome": "auto",
        "evaluations": candidates,
        "seed": seed,
        **values,
    }
    return evomerge.search(
        **{**family.values, **keys},
        objectives=[f"{task}.acc" for task in family.tasks],
        items_per_task=ITEMS // len(family.tasks),
        run_dir=str(folder),
    )


def in_order(family: Family, seed: int, folder: Path) -> evomerge.Run:
    """The published order: half of the candidates for the merge, then half for a path through it and the models."""
    first = search(family, {}, seed, folder / "first", CANDIDATES // 2)
    first.export("knee", str(folder / "merge"))
    experts = ["example:expert_1", "example:expert_2"]
    values = {**PATH, "models": [str(folder / "merge"), *experts]}
    return search(family, values, seed, folder / "second", CANDIDATES // 2)


def write(entries: list[dict[str, Any]], out: Path) -> None:
    """Writes ``study.md`` and ``study.json``."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "study.json").write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    lines = [
        "# Paths through layers, and merges",
        "",
        f"The embedded family: two experts of six layers and half a million parameters, {CANDIDATES} candidates a "
        f"search, each asked {ITEMS} items; means over both tasks on held-out items, in per cent. The interval is that "
        "of the difference to the merge over seeds (t). [How](../../experiments/paths/README.md).",
        "",
        "No path gains anything here. What searches of the experts' own layers return scores as the better expert "
        "does, and where the merge is among the models it is on average no better than what a search of the merge "
        "alone returns, for which paths leave fewer candidates. These experts share a base and are six layers "
        "deep, where merging is at its best; what paths do for deep models of other kinds is not seen here.",
        "",
        "| way | genes | returned | minus the merge | seeds | layers |",
        "|---|---|---|---|---|---|",
    ]
    merge = {entry["seed"]: entry["score"] for entry in entries if entry["way"] == "merge"}
    for way in dict.fromkeys(entry["way"] for entry in entries):
        own = [entry for entry in entries if entry["way"] == way]
        apart = np.array([entry["score"] - merge[entry["seed"]] for entry in own if entry["seed"] in merge])
        away = "" if way == "merge" else _interval(apart)
        layers = ", ".join(str(entry["layers"]) for entry in own)
        score = float(np.mean([entry["score"] for entry in own]))
        lines.append(f"| {way} | {own[0]['genes']} | {100 * score:.1f} | {away} | {len(own)} | {layers} |")
    shown = entries[0]["baselines"]
    lines += ["", "Baselines: " + ", ".join(f"{name} {100 * score:.1f}" for name, score in shown.items()) + "."]
    (out / "study.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _interval(apart: np.ndarray) -> str:
    """A mean difference in points with its 95 % interval over seeds."""
    if len(apart) < 2:
        return f"{100 * apart.mean():+.1f}"
    half = float(t.ppf(0.975, len(apart) - 1)) * float(apart.std(ddof=1)) / len(apart) ** 0.5
    return f"{100 * apart.mean():+.1f} ± {100 * half:.1f}"


def _layers(run: evomerge.Run, family: Family) -> int:
    """Number of layers of what is returned."""
    best = next(record for record in run.evaluations("test") if record.digest == best_of(run, family))
    return len(best.recipe.get("layers", ())) or DEPTH


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--page", action="store_true", help="write the page from what there is, and search nothing")
    arguments = parser.parse_args()
    file, family = arguments.work / "searches.jsonl", families(Path())["example"]
    arguments.work.mkdir(parents=True, exist_ok=True)
    done = {(entry["way"], entry["seed"]) for entry in json_lines.read(file)}
    for seed in range(0 if arguments.page else SEEDS):
        for way in (*WAYS, IN_ORDER):
            if (way, seed) in done:
                continue
            folder, started = arguments.work / f"{way.replace(' ', '-')}-{seed}", time.perf_counter()
            run = in_order(family, seed, folder) if way == IN_ORDER else search(
                family, WAYS[way], seed, folder, CANDIDATES
            )  # fmt: skip
            found = returned(run, family)
            seconds = round(time.perf_counter() - started, 1)
            json_lines.append(
                file, {"way": way, "seed": seed, **found, "layers": _layers(run, family), "seconds": seconds}
            )
            shutil.rmtree(folder)
            print(f"{way}, seed {seed}: {100 * found['score']:.1f} %, {seconds} s", flush=True)
    write(json_lines.read(file), arguments.out)


if __name__ == "__main__":
    main()
