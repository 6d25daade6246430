"""Which merges are recorded: a uniform grid, broad random ones, searches, and clouds around good ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from evomerge.recipe import Recipe
from evomerge.search import Problem, SearcherSettings, make
from evomerge.search.searchers import Observation
from experiments.responses.families import Design
from experiments.responses.landscape import Answered, Array, Landscape


@dataclass(frozen=True)
class Merge:
    """One recorded merge.

    Attributes:
        recipe: Its recipe.
        origin: ``baseline``, ``grid``, ``random``, ``nsga2``, ``cmaes``, ``local`` (around the best of grid and random
            merges) or ``local_search`` (around the best of the searches).
        answered: Its answers.
        name: Of a baseline.
        batch: Of a search, from 1.
        genome: Its genes, ``(n_var,)``; None for baselines.
    """

    recipe: Recipe
    origin: str
    answered: Answered
    name: str | None = None
    batch: int | None = None
    genome: Array | None = None


def merges(landscape: Landscape, design: Design) -> Iterator[Merge]:
    """All merges of a design, each once, scored one after the other.

    What is good is told by the search split alone, so that the other items have chosen nothing.
    """
    for name, recipe in landscape.baselines.items():
        yield Merge(recipe, "baseline", landscape.ask(recipe), name)
    seen: set[str] = set()
    found: list[Merge] = []
    for merge in itertools.chain(
        _points(landscape, "grid", _grid(landscape, design)),
        _points(landscape, "random", _random(landscape, design)),
        _once(_search(landscape, "nsga2", 16), seen, design.nsga2),
        _once(_search(landscape, "cmaes", 8), seen, design.cmaes),
    ):
        seen.add(merge.recipe.digest)
        found.append(merge)
        yield merge
    for origin, among in (("local", ("grid", "random")), ("local_search", ("nsga2", "cmaes"))):
        centre = max((merge for merge in found if merge.origin in among), key=lambda merge: _good(landscape, merge))
        yield from _points(landscape, origin, _cloud(landscape, design, origin, centre.genome))


def _good(landscape: Landscape, merge: Merge) -> float:
    """The geometric mean of both objectives."""
    return float(np.sqrt(np.prod(landscape.scores(merge.answered))))


def _points(landscape: Landscape, origin: str, genomes: Array) -> Iterator[Merge]:
    for x in genomes:
        recipe = landscape.spec.decode(x)
        yield Merge(recipe, origin, landscape.ask(recipe), genome=x)


def _grid(landscape: Landscape, design: Design) -> Array:
    """Every expert with every weight of the design, the same over the whole model, ``(points, n_var)``."""
    spec = landscape.spec
    corners = itertools.product(design.levels, repeat=len(spec.template.sources))
    return np.array([spec.encode(spec.recipe({"weight": weights})) for weights in corners])


def _unit(landscape: Landscape) -> float:
    """Genes per unit of weight; every gene is a weight, from 0 on."""
    one, nothing = (landscape.spec.encode(landscape.spec.recipe({"weight": value})) for value in (1.0, 0.0))
    return float((one - nothing)[0])


def _random(landscape: Landscape, design: Design) -> Array:
    shape = (design.random, landscape.spec.n_var)
    return _generator(landscape, "random").random(shape) * design.reach * _unit(landscape)


def _cloud(landscape: Landscape, design: Design, origin: str, centre: Array | None) -> Array:
    assert centre is not None
    steps = _generator(landscape, origin).normal(0.0, design.spread, (design.local, len(centre)))
    return np.clip(centre + steps * _unit(landscape), 0.0, 1.0)


def _search(landscape: Landscape, name: str, population: int) -> Iterator[Merge]:
    """Candidates of a search that is told the whole search split, without an end."""
    seed = int(_generator(landscape, name).integers(2**31))
    objectives = 2 if name == "nsga2" else 1
    problem = Problem(landscape.spec.n_var, objectives, 1, landscape.starts)
    searcher = make(name, problem, SearcherSettings(population=population, seed=seed))
    for batch in itertools.count(1):
        told = []
        for proposal in searcher.ask():
            assert proposal.x is not None
            recipe = landscape.spec.decode(proposal.x)
            answered = landscape.ask(recipe)
            yield Merge(recipe, name, answered, batch=batch, genome=proposal.x)
            scores = landscape.scores(answered)
            missed = np.array([float(answered.error is not None)])
            told.append(
                Observation(proposal.id, 1.0 - (scores if objectives == 2 else scores.mean(keepdims=True)), missed)
            )
        searcher.tell(told)


def _once(found: Iterator[Merge], seen: set[str], count: int) -> Iterator[Merge]:
    """The first merges that have not been seen."""
    for merge in found:
        if merge.recipe.digest not in seen:
            yield merge
            count -= 1
        if count <= 0:
            return


def _generator(landscape: Landscape, purpose: str) -> np.random.Generator:
    return np.random.default_rng([landscape.family.seed, *purpose.encode()])
