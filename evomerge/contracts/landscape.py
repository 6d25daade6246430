"""Landscapes in the unit cube with known optima, for suites that need values without a model."""

from __future__ import annotations

from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from evomerge.recipe import Recipe, Source
from evomerge.search.searchers import Proposal

__all__ = ["N_CON", "points", "scores", "values"]

N_CON = 3  # two constraints, and one that tells whether a candidate could be scored at all

_WIDTH = 6  # of points where no genome says how many genes there are
_OPTIMA = (0.3, 0.7, 0.1, 0.9, 0.5)


def values(X: NDArray[np.float64], n_obj: int, kind: str = "mixed") -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Squared distances to one optimum per objective.

    Args:
        X: Genomes, ``(n, n_var)``.
        n_obj: Number of objectives, at most five.
        kind: ``mixed`` has infeasible regions and failed genomes; ``flat`` gives all the same value, as when twenty
            questions cannot tell candidates apart; ``infeasible`` violates everywhere alike; ``halved`` violates where
            the first gene is below one half.

    Returns:
        Objectives ``(n, n_obj)`` and constraints ``(n, 3)``, met where 0 or less.
    """
    F = np.stack([((X - optimum) ** 2).sum(axis=1) for optimum in _OPTIMA[:n_obj]], axis=1)
    G = np.zeros((len(X), N_CON))
    if kind == "flat":
        return np.zeros_like(F), G
    if kind == "infeasible":
        return F, np.ones_like(G)
    if kind == "halved":
        G[:, 0] = 0.5 - X[:, 0]
        return F, G
    G[:, 0] = 0.25 - X[:, 0]
    G[:, 1] = np.where(X[:, -1] > 0.9, 3.0, 0.0)
    failed = (X.sum(axis=1) * 1000).astype(int) % 5 == 0
    F[failed], G[failed, :2], G[failed, 2] = 50.0, 0.0, 9.0
    return F, G


def scores(X: NDArray[np.float64], items: int = 12) -> NDArray[np.float64]:
    """Scores of items, more being better: nearness to a point of each, ``(n, items)``.

    Args:
        X: Genomes, ``(n, n_var)``.
        items: Number of items.
    """
    at = np.random.default_rng(0).random((items, X.shape[1]))
    found: NDArray[np.float64] = np.exp(-((X[:, None, :] - at) ** 2).sum(axis=2))
    return found


def points(proposals: list[Proposal]) -> NDArray[np.float64]:
    """A point of the landscape for each proposal, ``(n, n_var)``: its genome, or one that follows from its recipe."""
    width = next((len(proposal.x) for proposal in proposals if proposal.x is not None), _WIDTH)
    rows = [_point(proposal, width) for proposal in proposals]
    return np.array(rows) if rows else np.zeros((0, width))


def _point(proposal: Proposal, width: int) -> NDArray[np.float64]:
    if proposal.x is not None:
        return proposal.x
    assert proposal.recipe is not None
    if "point" in proposal.recipe.coefficients:  # a genome with pushes
        found: NDArray[np.float64] = proposal.recipe.coefficients["point"]
        return found
    return _mixed(proposal.recipe, width)


def _mixed(source: Source, width: int) -> NDArray[np.float64]:
    """The mean of the points of what a recipe merges, by its weights; of a model, one that follows from its name."""
    if isinstance(source, Recipe) and "weight" in source.coefficients:
        weight = source.coefficients["weight"].mean(axis=0)
        parts = np.array([_mixed(inner, width) for inner in source.sources])
        mean: NDArray[np.float64] = weight @ parts / weight.sum()
        return mean
    name = source.digest if isinstance(source, Recipe) else source.source
    return np.random.default_rng(crc32(name.encode())).random(width)
