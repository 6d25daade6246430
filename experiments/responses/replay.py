"""Searches over a recorded table alone: no models, no tasks, seconds for a search.

    python -m experiments.responses.replay experiments/responses/smollm2 --searcher cmaes --evaluations 200

The search space, baselines, items and splits are those of the table; merges that were not recorded answer as
``executor.options.unknown`` says. Scores are means over items.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from evomerge import executors, methods
from evomerge.evaluation import Objective, Response
from evomerge.executors._shared.response_table import ResponseTable, read_table
from evomerge.genome import GenomeSettings, GenomeSpec, build
from evomerge.search import Budgets, SearcherSettings, SearchPlan, factory, run, searchers
from evomerge.store import RunStore

GENOMES = {
    "example": GenomeSettings(depth="layer"),
    "smollm2": GenomeSettings(depth="smooth", frozen=("embedding", "norm")),
}
OUTSIDE = ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight")


def space(table: ResponseTable, family: str) -> GenomeSpec:
    """The space that the table's genomes are points of.

    Args:
        table: A table of this folder.
        family: ``example`` or ``smollm2``.
    """
    template = next(one.recipe for one in table.candidates if one.genome)
    labels = [group.label for group in template.groups.groups]
    layers = sum(label.startswith("layer ") for label in labels)
    outside = [name for name in OUTSIDE if name != OUTSIDE[-1] or "head" in labels]
    names = [*outside, *(f"model.layers.{layer}.mlp.up_proj.weight" for layer in range(layers))]
    declared = methods.load(template.method).coefficients(template.options)
    return build(GENOMES[family], declared, replace(template, coefficients={}), names)


def items(table: ResponseTable, tasks: Container[str]) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Split to task to items, of some tasks."""
    found: dict[str, dict[str, tuple[str, ...]]] = {"search": {}, "selection": {}, "test": {}}
    for item in (item for item in table.items if item.task in tasks):
        found[item.split][item.task] = (*found[item.split].get(item.task, ()), item.item)
    return found


def means(responses: Sequence[Response]) -> dict[str, float]:
    """Each task's metrics as means over its items."""
    values: dict[str, list[float]] = {}
    for response in responses:
        for metric, value in response.metrics.items():
            values.setdefault(f"{response.task}.{metric}", []).append(value)
    return {key: float(np.mean(given)) for key, given in values.items()}


def plan(table: ResponseTable, family: str, searcher: str, objectives: Sequence[str], evaluations: int) -> SearchPlan:
    """A search over a table.

    Args:
        table: The table.
        family: ``example`` or ``smollm2``.
        searcher: Name of the searcher, with its defaults and seed 0.
        objectives: Metrics to improve, ``TASK.METRIC``; more is better.
        evaluations: How many candidates.
    """
    spec = space(table, family)
    points = {"uniform": {"weight": 0.5}, "sum": {"weight": 1.0}}
    return SearchPlan(
        genome=spec,
        searcher=factory(searcher, searchers.load(searcher).complete(SearcherSettings(name=searcher))),
        objectives=tuple(Objective(key, ((1.0, key),), True) for key in objectives),
        baselines={one.name: one.recipe for one in table.candidates if one.name is not None},
        items=items(table, {key.partition(".")[0] for key in objectives}),
        aggregate=means,
        starts=spec.starts(points)[1],
        budgets=Budgets(evaluations=evaluations),
    )


def main() -> None:
    """Reads the command line, searches, prints the front."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="folder of a table")
    parser.add_argument("--searcher", default="nsga2")
    parser.add_argument("--objectives", nargs="+", help="default: accuracy of the first two tasks")
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--unknown", default="interpolated", help="how merges that were not recorded answer")
    arguments = parser.parse_args()
    table, started = read_table(arguments.table), time.monotonic()
    family = arguments.table.resolve().name.partition("_")[0]
    tasks = list(dict.fromkeys(item.task for item in table.items))
    count = 2 if searchers.load(arguments.searcher).fits(2) else 1
    objectives = arguments.objectives or [f"{task}.acc" for task in tasks[:count]]
    wanted = plan(table, family, arguments.searcher, objectives, arguments.evaluations)
    # The table answers; there is no worker to make.
    executor = executors.make("recorded", _no_worker, table=str(arguments.table), unknown=arguments.unknown)
    with tempfile.TemporaryDirectory() as folder, RunStore.open(Path(folder) / "run", {}, {}) as store:
        found = run(wanted, executor, store)
    for member in found.front:
        print(" ".join(f"{key} {member.metrics[key]:.3f}" for key in objectives))
    print(f"{found.evaluations} candidates, {time.monotonic() - started:.1f} s")


def _no_worker() -> executors.Worker:
    raise AssertionError("answers are looked up")


if __name__ == "__main__":
    main()
