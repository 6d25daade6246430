"""The place of each gene in the model, as far as groups have an order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evomerge.genome.spec import GenomeSpec
from evomerge.recipe import Recipe, values_of

__all__ = ["gene_places"]


def gene_places(spec: GenomeSpec) -> NDArray[np.float64]:
    """The mean place of the groups that each gene changes, 0 for the first and 1 for the last, ``(n_var,)``.

    Read off decoded recipes, so it holds for every layout of coefficients. A gene of all groups alike is in the middle,
    and so is one that changes no coefficient, and every gene where layers go or come from several models.

    Args:
        spec: The search space.
    """
    count, middle = len(spec.groups), np.full(spec.n_var, 0.5)
    places = middle.copy()
    if count < 2 or spec.depth is not None:
        return places
    before = _rows(spec.decode(middle), count)
    for gene in range(spec.n_var):
        moved = middle.copy()
        moved[gene] = 0.75
        change = np.abs(_rows(spec.decode(moved), count) - before).sum(axis=1)
        if change.any():
            places[gene] = change @ np.arange(count) / change.sum() / (count - 1)
    return places


def _rows(recipe: Recipe, count: int) -> NDArray[np.float64]:
    """All coefficients of a recipe by group, ``(groups, coefficients)``."""
    return np.concatenate([np.reshape(array, (count, -1)) for array in values_of(recipe).values()], axis=1)
