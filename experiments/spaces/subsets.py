"""How often a merge of some experts beats the best of them and tuned task arithmetic, with and without search.

    python -m experiments.spaces.subsets --work FOLDER

Random subsets of the six experts; whatever the subset, all are asked the same exam, which holds every expert's skill.
Every subset is a line of FOLDER/subsets.jsonl as soon as it is done, and a repeated command goes on.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np

from evomerge.recipe import Recipe
from experiments import json_lines
from experiments.spaces.families import EXPERTS, Family, six
from experiments.spaces.landscape import Array, Landscape, Space, random_of
from experiments.spaces.page import write
from experiments.spaces.searching import Windows, candidates, returned
from experiments.spaces.study import RESULTS, SEARCH_ITEMS, SELECTION_ITEMS

EVALUATIONS = 96
SCALES = tuple(round(0.1 * step, 1) for step in range(1, 16))
# Tuned task arithmetic is asked as many items as a search, on a grid of one scale for all experts.
TUNING_ITEMS = EVALUATIONS * SEARCH_ITEMS // len(SCALES)
SEARCHES = (("global", "cmaes"), ("linear", "cmaes"), ("layer", "cmaes"), ("layer", "nsga2"))


def subsets(count: int) -> list[tuple[str, ...]]:
    """Different subsets of two to five experts, drawn so that all sizes are as frequent as there are enough of them."""
    random = random_of("subsets")
    by_size = {size: list(itertools.combinations(EXPERTS, size)) for size in (2, 3, 4, 5)}
    orders = {size: [found[place] for place in random.permutation(len(found))] for size, found in by_size.items()}
    turns = itertools.chain.from_iterable(itertools.zip_longest(*orders.values()))
    return [subset for subset in turns if subset is not None][:count]


def tuned(landscape: Landscape, space: Space, windows: Windows) -> tuple[Recipe, float]:
    """Task arithmetic with the one scale that is best on search items, and that scale."""
    recipes = [space.spec.recipe({"weight": scale}) for scale in SCALES]
    scores = [landscape.scores(recipe, "search", windows.search).mean() for recipe in recipes]
    best = int(np.argmax(scores))
    return recipes[best], SCALES[best]


def judge(landscape: Landscape, seed: int) -> dict[str, Any]:
    """All ways of merging one subset, their fresh scores, and their paired differences to what they should beat."""
    random = random_of("subset windows", seed)
    search = landscape.window("search", SEARCH_ITEMS, random)
    selection, fresh = landscape.window("selection", SELECTION_ITEMS, random), landscape.window("test", None)
    tuning = Windows(landscape.window("search", TUNING_ITEMS, random), selection, fresh)
    whole, chosen = landscape.space("global"), {}
    chosen["tuned task arithmetic"], scale = tuned(landscape, whole, tuning)
    chosen["uniform average"] = landscape.baselines["uniform"]
    chosen["task arithmetic 0.3"] = whole.spec.recipe({"weight": 0.3})
    for layout, algorithm in SEARCHES:
        space = landscape.space(layout)
        recipes, scores = candidates(landscape, space, algorithm, EVALUATIONS, seed, search)
        found = returned(landscape, recipes, scores, Windows(search, selection, fresh), front=False)
        chosen[f"{layout}, {algorithm}"] = recipes[found["row"]]
    answers = {name: landscape.answers(recipe, "test", fresh) for name, recipe in chosen.items()}
    experts = {
        name: landscape.answers(recipe, "test", fresh)
        for name, recipe in landscape.baselines.items()
        if name.startswith("expert")
    }
    # The best on fresh items: what a merge has to beat is not to depend on luck.
    best = max(experts.values(), key=lambda found: found.mean())
    rival = answers["tuned task arithmetic"]
    return {
        "scale": scale,
        "items": len(fresh[0]),
        "best expert": float(best.mean()),
        "ways": {
            name: {
                "fresh": float(found.mean()),
                "against the best expert": _difference(found, best),
                "against tuned task arithmetic": _difference(found, rival),
            }
            for name, found in answers.items()
        },
    }


def _difference(ours: Array, theirs: Array) -> dict[str, float]:
    """Mean paired difference over the items of both tasks, and its standard error."""
    gaps = (ours - theirs).ravel()
    return {"mean": float(gaps.mean()), "se": float(gaps.std(ddof=1) / np.sqrt(gaps.size))}


def run(work: Path, count: int) -> None:
    """Does what is missing."""
    family: Family = six(work)
    folder = Path(family.base).parent
    file = work / "subsets.jsonl"
    done = {tuple(entry["experts"]) for entry in json_lines.read(file)}
    for seed, subset in enumerate(subsets(count)):
        if subset in done:
            continue
        started = time.perf_counter()
        landscape = Landscape(family, work / "run", tuple(str(folder / name) for name in subset))
        entry = {"experts": subset, **judge(landscape, seed)}
        json_lines.append(file, entry)
        ways = ", ".join(f"{name} {way['fresh']:.3f}" for name, way in entry["ways"].items())
        print(f"{seed + 1}/{count} {' '.join(subset)}: best expert {entry['best expert']:.3f}, {ways}, "
              f"{time.perf_counter() - started:.0f} s", flush=True)  # fmt: skip


def main() -> None:
    """Reads the command line, merges, writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("experiments/spaces/work"), help="for models and figures")
    parser.add_argument("--subsets", type=int, default=24, help="how many subsets (default: 24)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the page")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    run(arguments.work, arguments.subsets)
    write(arguments.work, arguments.out)


if __name__ == "__main__":
    main()
