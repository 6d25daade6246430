"""Non-dominated sets, hypervolume and knee of arrays of points.

All functions take ``F`` of shape ``(n, m)``: ``n`` points, ``m`` objectives, every objective **minimised**.
"""

from __future__ import annotations

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["dominates", "hypervolume", "knee", "layers", "non_dominated", "normalise"]


def _points(F: ArrayLike) -> NDArray[np.float64]:
    points = np.asarray(F, dtype=np.float64)
    if points.ndim != 2:
        raise ValueError(f"expected objective values of shape (points, objectives), got shape {points.shape}")
    if not np.isfinite(points).all():
        rows = np.flatnonzero(~np.isfinite(points).all(axis=1))
        raise ValueError(f"objective values must be finite; rows {rows.tolist()} are not")
    return points


def non_dominated(F: ArrayLike) -> NDArray[np.bool_]:
    """Marks the points that no other point dominates.

    Args:
        F: Objective values to minimise, ``(n, m)``.

    Returns:
        Mask of shape ``(n,)``. Equal points stay together: both are marked or neither is.

    Raises:
        ValueError: if ``F`` is not two-dimensional or holds a value that is not finite.
    """
    points = _points(F)
    if len(points) == 0 or points.shape[1] == 0:
        return np.ones(len(points), dtype=bool)
    return np.asarray(moocore.is_nondominated(points, keep_weakly=True), dtype=bool)


def dominates(first: ArrayLike, second: ArrayLike) -> bool:
    """Whether a point is at least as good as another in every objective and better in one (Pareto dominance).

    Args:
        first: Objective values to minimise, ``(m,)``.
        second: The other's, ``(m,)``.
    """
    ours, theirs = _points(np.stack([np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)]))
    return bool((ours <= theirs).all() and (ours < theirs).any())


def layers(F: ArrayLike, least: int) -> list[list[int]]:
    """Non-dominated layers, the front first, each the front of what the earlier ones leave (Goldberg 1989).

    Args:
        F: Objective values to minimise, ``(n, m)``.
        least: Layers are taken until they hold at least so many points, or all.

    Returns:
        Rows of ``F`` by layer, ascending within a layer.

    Raises:
        ValueError: as for `non_dominated`.
    """
    points = _points(F)
    left, found, count = np.arange(len(points)), [], 0
    while len(left) and count < least:
        front = non_dominated(points[left])
        found.append(left[front].tolist())
        count += len(found[-1])
        left = left[~front]
    return found


def hypervolume(F: ArrayLike, reference: ArrayLike) -> float:
    """Volume that ``F`` dominates below a reference point (Zitzler & Thiele 1998, doi:10.1007/BFb0056872).

    Points that are not better than the reference in every objective add nothing.

    Args:
        F: Objective values to minimise, ``(n, m)``; ``n`` may be 0.
        reference: The worst point that counts, ``(m,)``.

    Returns:
        The volume, 0 or more.

    Raises:
        ValueError: if the shapes disagree or a value is not finite.
    """
    points = _points(F)
    corner = np.asarray(reference, dtype=np.float64)
    if corner.shape != (points.shape[1],) or not np.isfinite(corner).all():
        raise ValueError(f"expected a finite reference point of shape ({points.shape[1]},), got {corner.tolist()}")
    inside = points[(points < corner).all(axis=1)]
    if len(inside) == 0:
        return 0.0
    if points.shape[1] == 1:
        return float(corner[0] - inside.min())
    return float(moocore.hypervolume(inside, ref=corner))


def normalise(F: ArrayLike) -> NDArray[np.float64]:
    """Scales every objective to [0, 1] over the given points; an objective that does not vary becomes 0.

    Args:
        F: Objective values, ``(n, m)``.

    Returns:
        Array of the shape of ``F``.
    """
    points = _points(F)
    if len(points) == 0:
        return points
    low, high = points.min(axis=0), points.max(axis=0)
    span = high - low
    return (points - low) / np.where(span > 0, span, 1.0)


def knee(F: ArrayLike) -> int:
    """Index of the knee: the non-dominated point furthest below the plane through the front's extremes.

    After scaling the front to the unit cube that plane is "the objectives add up to a constant", so the knee is the
    member with the smallest sum (Das 1999, doi:10.1007/s001580050111, for a front whose extremes are the unit vectors).
    Of equal sums the most balanced member is taken, then the first.

    Args:
        F: Objective values to minimise, ``(n, m)`` with ``n`` at least 1.

    Returns:
        Row of ``F``.

    Raises:
        ValueError: if there is no point, or as for `non_dominated`.
    """
    points = _points(F)
    if len(points) == 0:
        raise ValueError("expected at least one point to choose a knee from, got none")
    front = np.flatnonzero(non_dominated(points))
    scaled = normalise(points[front])
    # Rounding keeps a tie a tie: 0.1 + 0.9 and 0.4 + 0.6 differ in the last bit.
    order = np.lexsort((scaled.max(axis=1).round(12), scaled.sum(axis=1).round(12)))
    return int(front[order[0]])
