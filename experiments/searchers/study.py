"""Searchers at equal budget on recorded landscapes: quality, and what their proposals cost.

    python -m experiments.searchers.study            resumable, one process; about eight minutes on one idle core
    python -m experiments.searchers.study --page     results/searchers from what there is

A search is told accuracies on items drawn anew for each seed, as few as a real one; what it returns is judged by all
items of the test split. Every search is a line of FOLDER/searches.jsonl as soon as it is over.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from evomerge.analysis.pareto import hypervolume, non_dominated
from evomerge.config import compose
from evomerge.run.assemble import assemble
from evomerge.run.recipes.reach import reach_of
from evomerge.search import Problem, SearcherSettings, make
from evomerge.search.searchers import Observation
from experiments import json_lines
from experiments.searchers.page import write
from experiments.searchers.table import Array, Table

TABLES = tuple(Path(f"experiments/responses/example_{number}") for number in range(3))
RESULTS = Path("results/searchers")
BUDGETS = (50, 200, 1000)
ITEMS = 30  # of each task that a candidate is asked
SEEDS = 10
# Objectives to searchers; those that fit models have fewer seeds where these take long.
PLAIN = {1: ("random", "ga", "de", "pso", "cmaes"), 2: ("random", "nsga2", "nsga3", "smsemoa")}
MODELS = {1: {"tpe": (SEEDS, 2), "gp": (SEEDS, 1)}, 2: {"tpe": (SEEDS, 1), "gp": (6, 0)}}  # at 200 and at 1,000
PRIOR = "gp, prior"
PAIRED, FIRST, UNTIL = 6, 100, 104  # seeds on the first table with a prior and without, their first, and the budget

Cell = tuple[str, int, int, int]  # searcher, objectives, budget, seed


def cells() -> Iterator[Cell]:
    """All searches, those first that tell most."""
    for seed in range(SEEDS):
        for objectives, searchers in PLAIN.items():
            yield from ((searcher, objectives, BUDGETS[-1], seed) for searcher in searchers)
            yield from ((name, objectives, 200, seed) for name, (few, _) in MODELS[objectives].items() if seed < few)
    for seed in range(FIRST, FIRST + PAIRED):
        yield from ((searcher, 1, UNTIL, seed) for searcher in ("gp", PRIOR))
    for objectives, models in MODELS.items():
        yield from ((name, objectives, 1000, seed) for name, (_, few) in models.items() for seed in range(few))


def search(table: Table, searcher: str, objectives: int, budget: int, seed: int) -> dict[str, Any]:
    """One search, what it returns at each budget, and processor seconds of its proposals until then."""
    told = table.landscape(table.means("search", ITEMS, np.random.default_rng([seed, ITEMS])))
    true = table.landscape(table.means("test"))
    problem = Problem(table.n_var, objectives, 1, table.starts, reach=example_reach)
    options = {"prior": "deltas"} if searcher == PRIOR else {}
    algorithm = make(searcher.partition(",")[0], problem, SearcherSettings(seed=seed, options=options))
    X, seen, spent = list[Array](), list[Array](), list[float]()
    seconds = 0.0
    while len(X) < budget:
        started = time.process_time()
        proposals = algorithm.ask()
        seconds += time.process_time() - started
        genomes = [proposal.x for proposal in proposals if proposal.x is not None]
        scores = [told(x) for x in genomes]
        X += genomes
        seen += scores
        values = [1.0 - (score if objectives == 2 else score.mean(keepdims=True)) for score in scores]
        observed = [Observation(p.id, f, np.zeros(1)) for p, f in zip(proposals, values, strict=True)]
        started = time.process_time()
        algorithm.tell(observed)
        seconds += time.process_time() - started
        spent += [seconds] * len(genomes)
    judged = np.array([true(x) for x in X])
    reached = sorted({limit for limit in BUDGETS if limit < budget} | {budget})
    return {str(limit): _returned(np.array(seen[:limit]), judged[:limit], spent, limit) for limit in reached}


@functools.cache
def example_reach() -> Array:
    """How far each gene moves the merge, of the first table's models, which come with the package."""
    assembly = assemble(compose.search(["experiment=example"]))
    reach = reach_of(assembly.config, assembly.spec, assembly.checkpoints)
    assert reach is not None
    return reach()


def _returned(seen: Array, true: Array, spent: list[float], limit: int) -> dict[str, float]:
    """The true score of the best by the search's own, the best there was, the front, and seconds."""
    front = non_dominated(-seen)
    return {
        "returned": float(true[int(np.argmax(seen.mean(axis=1)))].mean()),
        "best": float(true.mean(axis=1).max()),
        "hypervolume": hypervolume(-true[front], np.zeros(2)),
        "seconds": spent[limit - 1],
        "last": (spent[limit - 1] - spent[max(limit - 33, 0)]) / 32,  # a proposal, then
    }


def run(work: Path) -> None:
    """Does what is missing."""
    file, tables = work / "searches.jsonl", [Table(folder) for folder in TABLES]
    done = {(e["searcher"], e["objectives"], e["budget"], e["seed"]) for e in json_lines.read(file)}
    for searcher, objectives, budget, seed in (cell for cell in cells() if cell not in done):
        paired = seed >= FIRST
        table = tables[0] if paired else tables[seed % len(tables)]
        found = search(table, searcher, objectives, budget, seed)
        json_lines.append(
            file,
            {
                "searcher": searcher, "objectives": objectives, "budget": budget, "seed": seed, "table": table.name,
                "paired": paired,
                "found": found,
            },
        )  # fmt: skip
        last = found[str(budget)]
        print(
            f"{searcher}, objectives {objectives}, {budget} candidates, seed {seed}: {last['returned']:.3f}, "
            f"{last['seconds']:.1f} s",
            flush=True,
        )


def main() -> None:
    """Reads the command line, searches, writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("experiments/searchers/work"), help="for what is done")
    parser.add_argument("--page", action="store_true", help="write the page from what there is, and search nothing")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the page")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    if not arguments.page:
        run(arguments.work)
    write(arguments.work, arguments.out)


if __name__ == "__main__":
    main()
