"""One point of a front by what a person prefers, said after the search: weights, or a reference point.

Both look at the non-dominated points alone, scale each objective to its range over these, as the knee does, and of
equal points take the first. Values are **minimised**, as everywhere in this room.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evomerge.analysis.pareto import non_dominated

__all__ = ["by_reference", "by_weights"]

_AUGMENTATION = 1e-4  # of the sum beside the maximum: among points with one maximum, the one that nothing dominates


def by_weights(F: ArrayLike, weights: ArrayLike) -> int:
    """The point with the least weighted sum of scaled objectives; with equal weights, the knee's rule but for ties.

    Args:
        F: Objective values to minimise, ``(n, m)`` with ``n`` at least 1.
        weights: How much each objective matters, ``(m,)``; none negative, one above 0.

    Returns:
        Row of ``F``.

    Raises:
        ValueError: if there is no point, or weights are of another number, negative or all 0.
    """
    front, points, low, span = _front(F)
    given = np.asarray(weights, dtype=np.float64)
    if given.shape != (points.shape[1],) or not np.isfinite(given).all() or (given < 0).any() or not given.any():
        raise ValueError(f"expected {points.shape[1]} weights of 0 or more, one above 0, got {given.tolist()}")
    # Where an objective does not count at all, it still decides between points that are equal in the others.
    scaled = (points - low) / span
    sums = scaled @ (given / given.sum())
    return int(front[np.lexsort((scaled.sum(axis=1).round(12), sums.round(12)))[0]])


def by_reference(F: ArrayLike, reference: ArrayLike) -> int:
    """The point with the least achievement value (Wierzbicki 1980, doi:10.1007/978-3-642-48782-8_32).

    That value is the largest scaled distance by which a point falls short of the reference, or the smallest by which it
    is better in all; a small part of the sum of distances is added, so that no weakly dominated point is taken. The
    reference may be within reach or out of it.

    Args:
        F: Objective values to minimise, ``(n, m)`` with ``n`` at least 1.
        reference: The values wished for, ``(m,)``.

    Returns:
        Row of ``F``.

    Raises:
        ValueError: if there is no point, or the reference has another shape or is not finite.
    """
    front, points, _, span = _front(F)
    aim = np.asarray(reference, dtype=np.float64)
    if aim.shape != (points.shape[1],) or not np.isfinite(aim).all():
        raise ValueError(f"expected a finite reference point of shape ({points.shape[1]},), got {aim.tolist()}")
    short = (points - aim) / span
    value = short.max(axis=1) + _AUGMENTATION * short.sum(axis=1)
    return int(front[np.argmin(value.round(12))])


def _front(F: ArrayLike) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Rows of the non-dominated points, the points, and the low end and the range of each objective over them."""
    points = np.asarray(F, dtype=np.float64)
    mask = non_dominated(points)
    if not mask.any():
        raise ValueError("expected at least one point to choose from, got none")
    own = points[mask]
    low, high = own.min(axis=0), own.max(axis=0)
    return np.flatnonzero(mask), own, low, np.where(high > low, high - low, 1.0)
