"""Search spaces and algorithms at equal budget: layouts x algorithms x seeds, on one family.

    python -m experiments.spaces.study --work FOLDER                 both families, resumable
    python -m experiments.spaces.study --work FOLDER --page          the page from what there is

Every search is scored by a worker as in a real one. Its figures are a line of FOLDER/searches.jsonl as soon as it is
over, so that a repeated command goes on where the last one stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from experiments import json_lines
from experiments.spaces.families import Family, pair, six
from experiments.spaces.landscape import Landscape, Space, random_of
from experiments.spaces.layouts import LAYOUTS
from experiments.spaces.page import write
from experiments.spaces.searching import Windows, candidates, returned

ALGORITHMS = ("ga", "de", "pso", "cmaes", "nsga2", "random")
BUDGETS = (24, 48, 96)
SEARCH_ITEMS, SELECTION_ITEMS, FRESH_ITEMS = 30, 40, 200  # of each of the two tasks
RESULTS = Path("results/spaces")
# Of the six experts a smaller grid: the question there is how many genes a budget carries.
GRID: Mapping[str, tuple[str, ...]] = {"two experts": ALGORITHMS, "six experts": ("ga", "cmaes", "nsga2", "random")}


def cells(families: Mapping[str, Family], seeds: int) -> Iterator[tuple[str, str, str, int]]:
    """All searches, seed by seed, so that whatever is there when the study is stopped is balanced."""
    for seed in range(seeds):
        for family in families:
            for layout in LAYOUTS:
                for algorithm in GRID[family]:
                    yield family, layout, algorithm, seed


def search(landscape: Landscape, space: Space, algorithm: str, seed: int) -> dict[str, Any]:
    """One search, and what it returns at each budget; a search of a smaller budget is the beginning of a longer one.

    Seeds draw the search's items too, the same for all layouts and algorithms.
    """
    random = random_of("windows", seed)
    windows = Windows(
        landscape.window("search", SEARCH_ITEMS, random),
        landscape.window("selection", SELECTION_ITEMS, random),
        landscape.window("test", FRESH_ITEMS),
    )
    started = time.perf_counter()
    recipes, scores = candidates(landscape, space, algorithm, BUDGETS[-1], seed, windows.search)
    found = {
        str(budget): returned(landscape, recipes[:budget], scores[:budget], windows, front=budget == BUDGETS[-1])
        for budget in BUDGETS
    }
    landscape.forget()
    return {"genes": space.spec.n_var, "budgets": found, "seconds": round(time.perf_counter() - started, 2)}


def known(file: Path) -> dict[tuple[str, str, str, int], dict[str, Any]]:
    """The searches that are done."""
    return {(e["family"], e["layout"], e["algorithm"], e["seed"]): e for e in json_lines.read(file)}


def baselines(landscape: Landscape) -> dict[str, float]:
    """Base, experts and their average on the fresh items, means over both tasks."""
    window = landscape.window("test", FRESH_ITEMS)
    return {
        name: float(landscape.scores(recipe, "test", window).mean()) for name, recipe in landscape.baselines.items()
    }


def run(work: Path, seeds: int) -> None:
    """Does what is missing."""
    families = {family.name: family for family in (pair(), six(work))}
    file = work / "searches.jsonl"
    done = known(file)
    todo = [cell for cell in cells(families, seeds) if cell not in done]
    landscapes: dict[str, Landscape] = {}
    spaces: dict[tuple[str, str], Space] = {}
    started = time.monotonic()
    for number, (family, layout, algorithm, seed) in enumerate(todo, start=1):
        if family not in landscapes:
            landscapes[family] = Landscape(families[family], work / "run")
            lines = json.dumps(baselines(landscapes[family]), indent=2)
            (work / f"{family.replace(' ', '_')}.json").write_text(lines + "\n", encoding="utf-8")
        landscape = landscapes[family]
        if (family, layout) not in spaces:
            spaces[family, layout] = landscape.space(layout)
        found = search(landscape, spaces[family, layout], algorithm, seed)
        entry = {"family": family, "layout": layout, "algorithm": algorithm, "seed": seed, **found}
        json_lines.append(file, entry)
        left = (time.monotonic() - started) / number * (len(todo) - number)
        best = found["budgets"][str(BUDGETS[-1])]
        print(
            f"{family}, {layout}, {algorithm}, seed {seed}: {best['returned']:.3f}, hypervolume "
            f"{best['hypervolume']:.3f}, {found['seconds']:.1f} s, about {left / 60:.0f} min left",
            flush=True,
        )


def main() -> None:
    """Reads the command line, searches, writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("experiments/spaces/work"), help="for models and figures")
    parser.add_argument("--seeds", type=int, default=10, help="searches of each kind (default: 10)")
    parser.add_argument("--page", action="store_true", help="write the page from what there is, and search nothing")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the page")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    if not arguments.page:
        run(arguments.work, arguments.seeds)
    write(arguments.work, arguments.out)


if __name__ == "__main__":
    main()
