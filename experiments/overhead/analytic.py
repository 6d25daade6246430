"""A search whose candidates cost nothing: recipes of a model of 24 layers, scored by two formulas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from evomerge.evaluation import Job, Objective, Outcome, Response
from evomerge.genome import GenomeSettings, GenomeSpec, build
from evomerge.recipe import CheckpointRef, Coefficient, Group, ParameterGroups, Recipe
from evomerge.search import Budgets, SearcherSettings, SearchPlan, factory

LAYERS = 24
MODELS = (CheckpointRef("experts/north"), CheckpointRef("experts/south"))
BASE = CheckpointRef("base")
OBJECTIVES = (
    Objective("north.acc", ((1.0, "north.acc"),), True),
    Objective("south.loss", ((1.0, "south.loss"),), False),
)


@dataclass(frozen=True)
class Analytic:
    """A worker that scores a recipe by how far its weights lie from the optimum of each of two tasks."""

    def __call__(self, job: Job) -> Outcome:
        """Answers every item with the task's value and a fixed offset of the item."""
        weights = np.asarray(job.recipe.coefficients["weight"])
        values = {
            "north.acc": 1.0 - float(np.mean((weights - 0.25) ** 2)),
            "south.loss": float(np.mean((weights - 0.75) ** 2)),
        }
        responses = []
        for key, value in values.items():
            task, _, metric = key.partition(".")
            scores = [value + (crc32(item.encode()) % 100 - 50) / 1e4 for item in job.items[task]]
            responses += [Response(task, i, {metric: s}, (-s,)) for i, s in zip(job.items[task], scores, strict=True)]
        return Outcome(tuple(responses), None, {"merge": 0.0, "score": 0.0})


def means(responses: Sequence[Response]) -> dict[str, float]:
    """The metric of each task: the mean over its items."""
    values: dict[str, list[float]] = {}
    for response in responses:
        for metric, value in response.metrics.items():
            values.setdefault(f"{response.task}.{metric}", []).append(value)
    return {key: sum(given) / len(given) for key, given in values.items()}


def space() -> GenomeSpec:
    """One weight per expert and layer."""
    parts = ("self_attn.q_proj", "mlp.up_proj")
    names = [f"model.layers.{layer}.{part}.weight" for layer in range(LAYERS) for part in parts]
    template = Recipe("linear", {}, MODELS, BASE, ParameterGroups(()))
    return build(GenomeSettings(depth="layer", own_groups=()), [Coefficient("weight", 0.0, 1.0, 1.0)], template, names)


def baselines() -> dict[str, Recipe]:
    """Base, both experts, and their average."""
    groups = ParameterGroups((Group("model"),))

    def average(*models: CheckpointRef) -> Recipe:
        return Recipe("linear", {}, models, None, groups, {"weight": np.full((1, len(models)), 1.0 / len(models))})

    return {"base": average(BASE), **{f"expert:{m.label}": average(m) for m in MODELS}, "uniform": average(*MODELS)}


def plan(searcher: str, candidates: int, items: int) -> SearchPlan:
    """A search with so many candidates and items of each task."""
    asked = {
        split: {task: tuple(f"{split}-{task}-{i}" for i in range(items)) for task in ("north", "south")}
        for split in ("search", "test")
    }
    return SearchPlan(
        genome=space(),
        searcher=factory(searcher, SearcherSettings(population=16)),
        objectives=OBJECTIVES[1:] if searcher == "cmaes" else OBJECTIVES,
        baselines=baselines(),
        items=asked,
        aggregate=means,
        budgets=Budgets(evaluations=candidates),
    )
