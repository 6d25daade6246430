"""One search at a fixed budget, and what it returns at that budget and at smaller ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evomerge.analysis.pareto import hypervolume, non_dominated
from evomerge.recipe import Recipe
from evomerge.search import Problem, SearcherSettings, make, searchers
from evomerge.search.promotion.shortlist import choose
from evomerge.search.searchers import Observation
from experiments.spaces.landscape import Array, Landscape, Space, Window

PROMOTED = 5  # candidates compared on selection items
FRONT = 5  # members of a front that are scored on fresh items


@dataclass(frozen=True)
class Windows:
    """The items of one search.

    Attributes:
        search: Asked of every candidate.
        selection: Asked of the best by search scores.
        fresh: Of the test split, which nothing was chosen by.
    """

    search: Window
    selection: Window
    fresh: Window


def candidates(
    landscape: Landscape, space: Space, searcher: str, budget: int, seed: int, window: Window
) -> tuple[list[Recipe], Array]:
    """The candidates of a search in their order, each recipe once, and their search scores ``(n, 2)``.

    Searchers for one objective are told the mean over both tasks.
    """
    several = searchers.load(searcher).fits(2)
    problem = Problem(space.spec.n_var, 2 if several else 1, 1, space.starts)
    algorithm = make(searcher, problem, SearcherSettings(seed=seed, name=searcher))
    known: dict[str, tuple[Recipe, Array]] = {}
    idle = 0
    while len(known) < budget and idle < 20:
        told, before = [], len(known)
        for proposal in algorithm.ask():
            assert proposal.x is not None
            recipe = space.spec.decode(proposal.x)
            if recipe.digest not in known:
                known[recipe.digest] = recipe, landscape.scores(recipe, "search", window)
            scores = known[recipe.digest][1]
            told.append(
                Observation(proposal.id, 1.0 - (scores if several else scores.mean(keepdims=True)), np.zeros(1))
            )
            if len(known) == budget:  # the last batch is cut
                break
        else:
            algorithm.tell(told)
        idle = idle + 1 if len(known) == before else 0
    recipes = [recipe for recipe, _ in known.values()]
    return recipes, np.array([scores for _, scores in known.values()])


def returned(
    landscape: Landscape, recipes: Sequence[Recipe], scores: Array, windows: Windows, *, front: bool = True
) -> dict[str, Any]:
    """What a search returns that has seen these candidates, with its scores on fresh items.

    Args:
        landscape: The merges.
        recipes: The candidates.
        scores: Their search scores, ``(n, 2)``.
        windows: The items.
        front: Whether the front and the candidate with the best search score are scored too.

    Returns:
        ``returned``, the fresh score of the best of a few on selection items, and its ``row``; with the front also its
        ``hypervolume`` on fresh items, from the origin, and ``claimed`` and ``observed``, the search score and the
        fresh score of the candidate with the best search score. Scores are means over both tasks.
    """
    mean = scores.mean(axis=1)
    best = np.argsort(-mean, kind="stable")[:PROMOTED]
    selection = [landscape.scores(recipes[row], "selection", windows.selection).mean() for row in best]
    chosen = int(best[int(np.argmax(selection))])

    def fresh(row: int) -> Array:
        return landscape.scores(recipes[row], "test", windows.fresh)

    found: dict[str, Any] = {"returned": float(fresh(chosen).mean()), "row": chosen}
    if front:
        found |= {"claimed": float(mean[best[0]]), "observed": float(fresh(int(best[0])).mean())}
        members = np.flatnonzero(non_dominated(-scores))
        _, first = np.unique(scores[members], axis=0, return_index=True)  # of equal scores the first
        members = members[np.sort(first)]
        kept = members[choose(-scores[members], FRONT)]
        found["hypervolume"] = hypervolume(-np.array([fresh(int(row)) for row in kept]), np.zeros(2))
    return found
