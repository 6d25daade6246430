"""The practice of mergekit-evolve: CMA-ES on a few items that are drawn once, the best observed value returned.

As its evolve.py and evo/genome.py have it: a weight for each expert and layer that begins at one over the number of
experts with a standard deviation of one sixth, negative weights turned positive, a weighted sum of the tasks as the
fitness, the population that cma chooses. It ends when cma does, or with the budget. Weights above the search space's
largest are cut to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from evomerge.recipe import Recipe
from experiments.spaces.landscape import Array, Landscape, random_of

SIGMA = 1 / 6


@dataclass(frozen=True)
class Observed:
    """The best observed candidate.

    Attributes:
        recipe: Of it.
        score: Its mean score over the items that it was chosen by.
        candidates: How many were scored.
    """

    recipe: Recipe
    score: float
    candidates: int


def evolve(landscape: Landscape, items: int, budget: int, seed: int) -> Observed:
    """Searches.

    Args:
        landscape: The merges.
        items: How many items of each exam.
        budget: Answered items at most.
        seed: Of items and of CMA-ES.
    """
    import cma

    spec = landscape.space("layer").spec
    window = landscape.window("search", items, random_of("peers", seed))
    one, nothing = (spec.encode(spec.recipe({"weight": weight})) for weight in (1.0, 0.0))
    random = random_of("cma", seed)
    settings = {
        "seed": np.nan,  # nan leaves numpy's global generator alone
        "randn": lambda *shape: random.standard_normal(shape),
        "verbose": -10,
        "verb_log": 0,
    }
    start = np.full(spec.n_var, 1 / len(spec.template.sources))
    strategy = cma.CMAEvolutionStrategy(start, SIGMA, settings)
    best, score, candidates = None, -math.inf, 0
    each = sum(map(len, window))
    while not strategy.stop() and (candidates + strategy.popsize) * each <= budget:
        asked, told = strategy.ask(), []
        for weights in asked:
            recipe = spec.decode(_genome(weights, one, nothing))
            value = float(landscape.scores(recipe, "search", window).mean())
            best, score = (recipe, value) if value > score else (best, score)
            told.append(-value)
        candidates += len(asked)
        strategy.tell(asked, told)
    assert best is not None
    return Observed(best, score, candidates)


def _genome(weights: Array, one: Array, nothing: Array) -> Array:
    return np.clip(nothing + np.abs(weights) * (one - nothing), 0.0, 1.0)
