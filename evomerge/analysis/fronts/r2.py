"""The R2 indicator of a front: its mean distance to an ideal point, over uniform weightings of the objectives.

Brockhoff, Wagner and Trautmann 2012, doi:10.1145/2330163.2330230, after Hansen and Jaszkiewicz 1998.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["r2", "uniform_weights"]

_MOST_WEIGHTS = 500  # of two objectives; as in the paper's experiments
_ROUNDING = 1e-9


def uniform_weights(objectives: int, most: int = _MOST_WEIGHTS) -> NDArray[np.float64]:
    """All vectors of multiples of 1/H that sum to one (Das and Dennis 1998), for the largest H with few enough.

    Args:
        objectives: How many objectives.
        most: How many vectors at most, at least as many as objectives.

    Returns:
        Weights, ``(k, objectives)``, in ascending order.

    Raises:
        ValueError: if there is no objective, or fewer vectors are allowed than objectives.
    """
    if objectives < 1 or most < objectives:
        raise ValueError(f"expected 1 objective or more and as many vectors, got {objectives} and {most}")
    if objectives == 1:
        return np.ones((1, 1))
    parts = 1
    while math.comb(parts + objectives, objectives - 1) <= most:
        parts += 1
    bars = itertools.combinations(range(parts + objectives - 1), objectives - 1)
    edges = np.array([(-1, *found, parts + objectives - 1) for found in bars])
    return np.asarray((np.diff(edges, axis=1) - 1) / parts, dtype=np.float64)


def r2(F: ArrayLike, ideal: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The mean over weights of the least weighted Chebyshev distance to the ideal point; less is better.

    Args:
        F: Objective values to minimise, ``(n, m)`` with ``n`` at least 1, each scaled as its weight is to be read.
        ideal: A point that is at least as good as every other in every objective, ``(m,)``.
        weights: Weight vectors, ``(k, m)``; None is `uniform_weights`.

    Returns:
        The indicator, 0 or more.

    Raises:
        ValueError: if shapes disagree, there is no point, or one is better than the ideal.
    """
    points, best = np.asarray(F, dtype=np.float64), np.asarray(ideal, dtype=np.float64)
    if points.ndim != 2 or not len(points) or best.shape != (points.shape[1],):
        raise ValueError(f"expected points (n, m) and an ideal of shape (m,), got {points.shape} and {best.shape}")
    if not (np.isfinite(points).all() and (points >= best - _ROUNDING).all()):
        raise ValueError("points must be finite, and none better than the ideal in any objective")
    vectors = uniform_weights(points.shape[1]) if weights is None else np.asarray(weights, dtype=np.float64)
    if vectors.ndim != 2 or vectors.shape[1] != points.shape[1]:
        raise ValueError(f"expected weights of shape (k, {points.shape[1]}), got {vectors.shape}")
    away = np.maximum(points - best, 0.0)
    return float((vectors[:, None, :] * away[None]).max(axis=2).min(axis=1).mean())
