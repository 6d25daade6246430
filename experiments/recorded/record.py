"""Records the response table of the embedded example: two real searches, every candidate asked the items of all splits.

    HF_HUB_OFFLINE=1 python experiments/recorded/record.py [FILE]

Takes about two minutes on one core. Without FILE it replaces the table that comes with the package.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from evomerge.candidate import Worker
from evomerge.config import compose
from evomerge.evaluation import Ask, Job, Response
from evomerge.executors._shared import response_table
from evomerge.executors.recorded import Recorded, example_table
from evomerge.recipe import Recipe
from evomerge.run.search import prepare, search
from evomerge.store import RunStore

ITEMS = 24  # of each task and split
SEARCHES = {"nsga2": 96, "random": 48}  # candidates


def recorded(searcher: str, evaluations: int, folder: Path) -> Iterator[Recorded]:
    """Runs a search, then asks each of its recipes what it was not asked yet."""
    words = (f"items_per_task={ITEMS}", f"test_items_per_task={ITEMS}", f"evaluations={evaluations}")
    config = compose.search(["experiment=example", f"searcher={searcher}", *words, f"run_dir={folder}"])
    prepared = prepare(config)
    search(prepared)
    suite = prepared.assembly.suite
    worker, store = Worker(prepared.settings, suite), RunStore.read(folder)
    for evaluation in store.evaluations("search"):
        recipe, error = Recipe.from_json(dict(evaluation.recipe)), evaluation.error
        responses: list[Response] = []
        for split, tasks in suite.items.items():
            known, missing = store.find(evaluation.digest, {task: ids[:ITEMS] for task, ids in tasks.items()})
            outcome = worker(Job.of(recipe, missing, Ask(split, evaluation.batch, evaluation.index)))
            responses += sorted((*known, *outcome.responses), key=lambda response: response.key)
            error = error or outcome.error
        yield Recorded.of(recipe, responses, error)


def main(path: Path) -> None:
    """Writes the table."""
    candidates: dict[str, Recorded] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for searcher, evaluations in SEARCHES.items():
            for candidate in recorded(searcher, evaluations, Path(scratch) / searcher):
                candidates.setdefault(candidate.recipe.digest, candidate)
    about = (
        f"{len(candidates)} candidates of the embedded example, from "
        + " and ".join(f"{count} evaluations of {searcher}" for searcher, count in SEARCHES.items())
        + f", seed 0; {ITEMS} items of each task and split, values rounded to three decimals"
    )
    response_table.write(path, list(candidates.values()), about, decimals=3)
    print(f"{path}: {about}; {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else example_table())
