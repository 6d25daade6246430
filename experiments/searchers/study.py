"""Searchers at equal budget on recorded landscapes: quality, and what their proposals cost.

    python -m experiments.searchers.study            resumable, one process; about an hour on one idle core
    python -m experiments.searchers.study --again gp the committed searches, but for those of gp, which are taken anew
    python -m experiments.searchers.study --page     results/searchers from what there is

A search is told accuracies on items drawn anew for each seed, as few as a real one; what it returns is judged by all
items of the test split. Every search is a line of FOLDER/searches.jsonl as soon as it is over.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from evomerge.analysis.pareto import hypervolume, non_dominated
from evomerge.config import compose
from evomerge.run.assemble import assemble
from evomerge.run.recipes.reach import reach_of
from evomerge.search import Problem, SearcherSettings, make
from evomerge.search.searchers import Observation, Searcher
from experiments import json_lines
from experiments.searchers.page import write
from experiments.searchers.table import Array, Table

TABLES = tuple(Path(f"experiments/responses/example_{number}") for number in range(3))
RESULTS = Path("results/searchers")
BUDGETS = (50, 200, 1000)
ITEMS = 30  # of each task that a candidate is asked
SEEDS = 10
# Objectives to searchers.
PLAIN = {1: ("random", "ga", "de", "pso", "cmaes"), 2: ("random", "nsga2", "nsga3", "smsemoa")}
MODELS = ("tpe", "gp")  # of either number; those that fit a model, and take long
PRIOR = "gp, prior"
PAIRED, FIRST, UNTIL = 6, 100, 104  # seeds on the first table with a prior and without, their first, and the budget

Cell = tuple[str, int, int, int]  # searcher, objectives, budget, seed


def cells() -> Iterator[Cell]:
    """All searches, those first that tell most."""
    for seed in range(SEEDS):
        for objectives, searchers in PLAIN.items():
            yield from ((searcher, objectives, BUDGETS[-1], seed) for searcher in searchers)
            yield from ((name, objectives, 200, seed) for name in MODELS)
    for seed in range(FIRST, FIRST + PAIRED):
        yield from ((searcher, 1, UNTIL, seed) for searcher in ("gp", PRIOR))
    longest = ((name, objectives) for objectives in PLAIN for name in MODELS)
    yield from ((name, objectives, BUDGETS[-1], seed) for name, objectives in longest for seed in range(SEEDS))


def search(table: Table, searcher: str, objectives: int, budget: int, seed: int) -> dict[str, Any]:
    """One search, what it returns at each budget, and processor seconds of its proposals until then."""
    told = table.landscape(table.means("search", ITEMS, np.random.default_rng([seed, ITEMS])))
    true = table.landscape(table.means("test"))
    problem = Problem(table.n_var, objectives, 1, table.starts, reach=example_reach)
    options = {"prior": "deltas"} if searcher == PRIOR else {}
    algorithm = make(searcher.partition(",")[0], problem, SearcherSettings(seed=seed, options=options))

    def observed(name: str, x: Array) -> Observation:
        scores = told(x)
        return Observation(name, 1.0 - (scores if objectives == 2 else scores.mean(keepdims=True)), np.zeros(1))

    X, spent = play(algorithm, observed, budget)
    seen = np.array([told(x) for x in X])
    judged = np.array([true(x) for x in X])
    reached = sorted({limit for limit in BUDGETS if limit < budget} | {budget})
    return {str(limit): returned(seen[:limit], judged[:limit], spent, limit) for limit in reached}


def play(algorithm: Searcher, observed: Callable[[str, Array], Observation], budget: int) -> tuple[Array, list[float]]:
    """Asks and tells until the budget is used.

    Args:
        algorithm: The searcher.
        observed: Gives what it is told of a proposal, from its id and genome.
        budget: How many candidates, or a few more where a batch goes beyond.

    Returns:
        All genomes, ``(n, n_var)``, and the processor seconds of all proposals until each of them.
    """
    X, spent, seconds = list[Array](), list[float](), 0.0
    while len(X) < budget:
        started = time.process_time()
        proposals = algorithm.ask()
        seconds += time.process_time() - started
        genomes = {proposal.id: proposal.x for proposal in proposals if proposal.x is not None}
        values = [observed(name, x) for name, x in genomes.items()]
        started = time.process_time()
        algorithm.tell(values)
        seconds += time.process_time() - started
        X += genomes.values()
        spent += [seconds] * len(genomes)
    return np.array(X), spent


@functools.cache
def example_reach() -> Array:
    """How far each gene moves the merge, of the first table's models, which come with the package."""
    assembly = assemble(compose.search(["experiment=example"]))
    reach = reach_of(assembly.config, assembly.spec, assembly.checkpoints)
    assert reach is not None
    return reach()


def returned(seen: Array, true: Array, spent: list[float], limit: int) -> dict[str, float]:
    """The true score of the best by the search's own, the best there was, the front, and seconds."""
    front = non_dominated(-seen)
    return {
        "returned": float(true[int(np.argmax(seen.mean(axis=1)))].mean()),
        "best": float(true.mean(axis=1).max()),
        "hypervolume": hypervolume(-true[front], np.zeros(2)),
        "seconds": spent[limit - 1],
        "last": (spent[limit - 1] - spent[max(limit - 33, 0)]) / 32,  # a proposal, then
    }


def begin_again(work: Path, searcher: str) -> None:
    """Begins with the committed searches of all others, unless something has begun here."""
    file, stale = work / "searches.jsonl", {searcher, PRIOR} if searcher == "gp" else {searcher}
    if not file.exists():
        for one in json.loads((RESULTS / "searchers.json").read_text(encoding="utf-8"))["searches"]:
            if one["searcher"] not in stale:
                json_lines.append(file, one)


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
                "paired": paired, "taken": datetime.now(UTC).isoformat(timespec="minutes"), "found": found,
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
    parser.add_argument("--again", metavar="SEARCHER", help="takes its searches anew, and the others as committed")
    parser.add_argument("--page", action="store_true", help="write the page from what there is, and search nothing")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the page")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    if arguments.again:
        begin_again(arguments.work, arguments.again)
    if not arguments.page:
        run(arguments.work)
    write(arguments.work, arguments.out)


if __name__ == "__main__":
    main()
