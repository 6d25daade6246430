"""Searchers that keep an archive, beside others at equal budget, on recorded landscapes.

    python -m experiments.searchers.archives            resumable; two minutes on one idle core
    python -m experiments.searchers.archives --page     results/searchers/archives.md from what there is

Whatever a searcher keeps itself, all its candidates are put into one archive by the scores that it was told; the elites
are then judged by their true scores, in the cells where these lie. Every search is a line of FOLDER/archives.jsonl.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evomerge.analysis.diversity.grid import Grid, elites
from evomerge.config import compose
from evomerge.run.assemble import assemble
from evomerge.run.recipes.starts import known_starts
from evomerge.search import Problem, SearcherSettings, make, searchers
from evomerge.search.searchers import Observation
from experiments import json_lines
from experiments.searchers.archives_page import write
from experiments.searchers.study import ITEMS, RESULTS, SEEDS, TABLES, play, returned
from experiments.searchers.table import Array, Table

BUDGETS, CELLS = (200, 1000), 10
# Searchers with the number of objectives that they are told: the mean of both accuracies, or both.
SEARCHERS: Mapping[str, int] = {
    "random": 1, "nsga2": 2, "cmaes": 1, "map_elites": 1, "map_elites, short steps": 1, "map_elites, long steps": 1,
    "cma_me": 1, "cycleqd": 2,
}  # fmt: skip
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "map_elites, short steps": {"iso": 0.01, "line": 0.2},  # as published
    "map_elites, long steps": {"iso": 0.1, "line": 1.0},
    "cycleqd": {"mutation": "genes"},  # a landscape knows no singular vectors
}


def search(table: Table, searcher: str, seed: int) -> dict[str, dict[str, Any]]:
    """One search, and what it has found at each budget."""
    means, fair = table.means("search", ITEMS, np.random.default_rng([seed, ITEMS])), table.means("test")
    told, true = table.landscape(means), table.landscape(fair)
    grids = (_grid(table, means), _grid(table, fair))
    name = searcher.partition(",")[0]
    grid = grids[0] if searchers.load(name).measures else None
    problem = Problem(table.n_var, SEARCHERS[searcher], 1, example_starts(), grid)
    algorithm = make(name, problem, SearcherSettings(seed=seed, options=OPTIONS.get(searcher, {})))

    def observed(id: str, x: Array) -> Observation:
        scores = told(x)
        F = 1.0 - (scores if problem.n_obj == 2 else scores.mean(keepdims=True))
        return Observation(id, F, np.zeros(1), measures=None if grid is None else scores)

    X, spent = play(algorithm, observed, BUDGETS[-1])
    seen, judged = (np.array([landscape(x) for x in X]) for landscape in (told, true))
    return {
        str(limit): {
            **returned(seen[:limit], judged[:limit], spent, limit),
            **archived(seen[:limit], judged[:limit], grids),
        }
        for limit in BUDGETS
    }


def archived(seen: Array, true: Array, grids: tuple[Grid, Grid]) -> dict[str, Any]:
    """The archive of all candidates.

    Args:
        seen: Accuracies that the search was told, ``(n, 2)``.
        true: Their true ones.
        grids: The cells of either.

    Returns:
        ``believed``, the share of cells with an elite by what was told; of these elites, by their true scores, the
        ``coverage``, the ``quality`` (the sum over cells of the best mean accuracy, as a share of the largest there
        can be) and the ``cells`` with that accuracy.
    """
    kept = elites(grids[0], seen, -seen.mean(axis=1))
    members = true[sorted(kept.values())]
    best = elites(grids[1], members, -members.mean(axis=1))
    cells = [[*cell, round(float(members[row].mean()), 4)] for cell, row in sorted(best.items())]
    return {
        "believed": len(kept) / CELLS**2,
        "coverage": len(best) / CELLS**2,
        "quality": sum(cell[-1] for cell in cells) / CELLS**2,
        "cells": cells,
    }


def _grid(table: Table, means: Array) -> Grid:
    """The cells that a search would have: over what base, experts and their average reach, and a quarter more."""
    return Grid.spanning(means[len(table.genomes) :], [(None, None)] * 2, CELLS)


@functools.cache
def example_starts() -> Array:
    """The starts of a search of the example, the experts among them."""
    assembly = assemble(compose.search(["experiment=example"]))
    return known_starts(assembly.checkpoints, assembly.spec, assembly.method, None)[1]


def run(work: Path, only: Sequence[str]) -> None:
    """Does what is missing."""
    file, tables = work / "archives.jsonl", [Table(folder) for folder in TABLES]
    done = {(entry["searcher"], entry["seed"]) for entry in json_lines.read(file)}
    for seed in range(SEEDS):
        for searcher in (name for name in only if (name, seed) not in done):
            table = tables[seed % len(tables)]
            found = search(table, searcher, seed)
            json_lines.append(file, {"searcher": searcher, "seed": seed, "table": table.name, "found": found})
            last = found[str(BUDGETS[-1])]
            print(f"{searcher}, seed {seed}: coverage {last['coverage']:.2f}, {last['seconds']:.1f} s", flush=True)


def main() -> None:
    """Reads the command line, searches, writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("experiments/searchers/work"), help="for what is done")
    parser.add_argument("--searchers", nargs="*", choices=SEARCHERS, default=list(SEARCHERS), help="only these")
    parser.add_argument("--page", action="store_true", help="write the page from what there is, and search nothing")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the page")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    if not arguments.page:
        run(arguments.work, arguments.searchers)
    write(json_lines.read(arguments.work / "archives.jsonl"), arguments.out)


if __name__ == "__main__":
    main()
