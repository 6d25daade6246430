"""A worker without a model: a recipe's coefficients are scored by formulas with known optima.

It is a real worker for a real executor, and fast. Item ``i`` of a task is answered with the task's value plus a fixed
offset of its own, so responses, metrics and splits behave as with models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from evomerge.contracts._searcher.cases import expert_pool
from evomerge.evaluation import Constraint, Failure, Job, Measure, Objective, Outcome, Response
from evomerge.genome import GenomeSettings, GenomeSpec, build
from evomerge.recipe import CheckpointRef, Coefficient, Group, ParameterGroups, Recipe
from evomerge.search import (
    Budgets,
    Problem,
    RoundSettings,
    Searcher,
    SearcherSettings,
    SearchPlan,
    Space,
    factory,
    searchers,
)

LAYERS = 4
NAMES = [f"model.layers.{i}.{part}.weight" for i in range(LAYERS) for part in ("self_attn.q_proj", "mlp.up_proj")]
MODELS = (CheckpointRef("experts/north"), CheckpointRef("experts/south"))
BASE = CheckpointRef("base")
WEIGHT = Coefficient("weight", 0.0, 1.0, 1.0)
ITEMS = {
    "search": {"north": tuple(f"n{i}" for i in range(5)), "south": tuple(f"s{i}" for i in range(5))},
    "selection": {"north": tuple(f"vn{i}" for i in range(4)), "south": tuple(f"vs{i}" for i in range(4))},
    "test": {"north": tuple(f"tn{i}" for i in range(7)), "south": tuple(f"ts{i}" for i in range(7))},
}
NORTH = Objective("north.acc", ((1.0, "north.acc"),), True)
MEASURES = (Measure("north.acc", ((1.0, "north.acc"),)), Measure("south.loss", ((1.0, "south.loss"),)))
SOUTH = Objective("south.loss", ((1.0, "south.loss"),), False)


@dataclass(frozen=True)
class Analytic:
    """Scores by the distance of all weights to one optimum per task.

    Attributes:
        broken: Share of recipes, chosen by digest, that fail.
        everything_fails: Whether every candidate fails; single-model recipes never do.
        noise: Standard deviation of what recipe and item add to an answer, the same whenever it is asked.
        writes: Whether answers have texts: tokens that near recipes share, and what drafts the job brought.
    """

    broken: float = 0.0
    everything_fails: bool = False
    noise: float = 0.0
    writes: bool = False

    def __call__(self, job: Job) -> Outcome:
        weights = weights_of(job.recipe)
        single = len(job.recipe.sources) == 1
        if not single and (self.everything_fails or int(job.recipe.digest[:6], 16) < self.broken * 16**6):
            return Outcome(error=Failure("nonfinite", f"weight {weights.flat[0]:.3f} is cursed"))
        values = {
            "north.acc": 1.0 - np.mean((weights - 0.25) ** 2),
            "south.loss": float(np.mean((weights - 0.75) ** 2)),
        }
        responses = [
            _response(key, values[key] + self.noise * _own(job.recipe.digest, item), item)
            for key in values
            for item in job.items.get(key.split(".")[0], ())
        ]
        if self.writes:
            ids = tuple(int(8 * weight) for weight in weights.flat)
            responses = [replace(one, ids=((len(one.item), *ids),), texts=(told(job, one.item),)) for one in responses]
        return Outcome(tuple(responses), None, {"merge": 0.0, "score": 0.0})


def told(job: Job, item: str) -> str:
    """The drafts of an item in few words: how many, and which in which order."""
    drafts = job.drafts.get(item, ())
    return f"{len(drafts)} {crc32(repr(drafts).encode()):x}"


def weights_of(recipe: Recipe) -> NDArray[np.float64]:
    """The weights of all models, ``(groups, models)``; those of recipes inside times their recipes'."""
    columns = [
        column[:, None] * (weights_of(source) if isinstance(source, Recipe) else 1.0)
        for source, column in zip(recipe.sources, recipe.coefficients["weight"].T, strict=True)
    ]
    return np.concatenate(columns, axis=1)


def means(responses: Sequence[Response]) -> dict[str, float]:
    """Each task's metric is the mean over its items."""
    values: dict[str, list[float]] = {}
    for response in responses:
        for metric, value in response.metrics.items():
            values.setdefault(f"{response.task}.{metric}", []).append(value)
    return {key: float(np.mean(given)) for key, given in values.items()}


def _response(key: str, value: float, item: str) -> Response:
    task, metric = key.split(".")
    offset = (crc32(item.encode()) % 100 - 50) / 1e4
    return Response(task, item, {metric: float(value + offset)}, logprobs=(-float(abs(value)),))


def _own(digest: str, item: str) -> float:
    return float(np.random.default_rng(crc32(f"{digest} {item}".encode())).standard_normal())


def analytic(
    broken: float = 0.0, everything_fails: bool = False, noise: float = 0.0, *, writes: bool = False
) -> Analytic:
    """Makes the worker; ``partial`` of it is a factory for any executor."""
    return Analytic(broken, everything_fails, noise, writes)


def more_items(count: int) -> dict[str, dict[str, tuple[str, ...]]]:
    """Items with a larger search split: so many of each task."""
    larger = {task: tuple(f"{task[0]}{i}" for i in range(count)) for task in ITEMS["search"]}
    return {**ITEMS, "search": larger}


def template(method: str = "linear", models: Sequence[CheckpointRef] = MODELS) -> Recipe:
    """A recipe without coefficients."""
    return Recipe(method, {}, tuple(models), BASE, ParameterGroups(()))


def space(depth: str = "layer") -> GenomeSpec:
    """The search space of the tests: one weight per expert and layer."""
    return build(GenomeSettings(depth=depth, own_groups=()), [WEIGHT], template(), NAMES)


def baselines() -> dict[str, Recipe]:
    """Base, both experts, and their average."""
    groups = ParameterGroups((Group("model"),))

    def average(*models: CheckpointRef) -> Recipe:
        return Recipe("linear", {}, models, None, groups, {"weight": np.full((1, len(models)), 1.0 / len(models))})

    experts = {f"expert:{model.label}": average(model) for model in MODELS}
    return {"base": average(BASE), **experts, "uniform": average(*MODELS)}


def plan(
    searcher: str,
    *,
    evaluations: int | None = 40,
    seed: int = 0,
    population: int | None = 8,
    constraints: tuple[Constraint, ...] = (),
    depth: str = "layer",
    **settings: object,
) -> SearchPlan:
    """A small search; one objective for the searchers that take one, many models for those that choose among them."""
    genome = space(depth)
    _, starts = genome.starts({"uniform": {"weight": 0.5}, "model:0": {"weight": (1.0, 0.0)}})
    single = not searchers.load(searcher).fits(2)
    budgets = settings.pop("budgets", Budgets(evaluations=evaluations))
    pool = expert_pool(14) if searchers.load(searcher).recipes else None
    alone = {} if pool is None else {f"expert:{one.sources[0].label}": one for one in pool.alone}
    options = {"grid": 9} if searcher == "greedy_soup" else {}
    return SearchPlan(
        genome=genome,
        searcher=factory(searcher, SearcherSettings(population, seed, options)),
        objectives=(NORTH, SOUTH) if not single else (NORTH,) if searchers.load(searcher).items else (SOUTH,),
        baselines=baselines() | alone,
        items=ITEMS,
        aggregate=means,
        constraints=constraints,
        starts=starts,
        budgets=budgets,
        pool=pool,
        measures=MEASURES if searchers.load(searcher).measures else (),
        cells=4,
        scored_items=searchers.load(searcher).items,
        **settings,
    )


def in_rounds(work: SearchPlan, count: int, evaluations: int, **settings: object) -> SearchPlan:
    """The same search in rounds: the elites of one are the models of the next, the same searcher looks for weights."""

    def next_space(number: int, elites: Sequence[Recipe]) -> Space:
        like = replace(work.genome.template, sources=tuple(elites), groups=ParameterGroups(()))
        genome = build(GenomeSettings(depth="linear", own_groups=()), [WEIGHT], like, NAMES)
        _, starts = genome.starts({"uniform": {"weight": 1.0 / len(elites)}})
        return Space(genome, partial(_seeded, work.searcher, number), starts)

    rounds = RoundSettings(count, evaluations=evaluations, **settings)
    return replace(work, rounds=rounds, next_space=next_space)


def _seeded(make: partial[Searcher], number: int, problem: Problem) -> Searcher:
    """A searcher with a seed of the round's own."""
    name, settings = make.args
    return searchers.make(name, problem, replace(settings, seed=settings.seed + number))


make_worker = partial(analytic)
