"""The course of a search: the best value and the hypervolume so far, point by point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evomerge.analysis.archive import Archive
from evomerge.analysis.pareto import hypervolume

__all__ = ["best_so_far", "hypervolume_so_far"]

_ROUNDING = 1e-12

Point = NDArray[np.float64]


def best_so_far(points: Sequence[Point | None], column: int) -> tuple[tuple[int, float], ...]:
    """Improvements of one objective, which is minimised.

    Args:
        points: Objective values ``(m,)`` of each candidate, in order; None where it does not count.
        column: The objective.

    Returns:
        ``(count, value)`` wherever the smallest value so far changed; ``count`` starts at 1.
    """
    steps: list[tuple[int, float]] = []
    lowest = np.inf
    for count, point in enumerate(points, start=1):
        if point is not None and point[column] < lowest:
            lowest = float(point[column])
            steps.append((count, lowest))
    return tuple(steps)


def hypervolume_so_far(points: Sequence[Point | None], reference: ArrayLike) -> tuple[tuple[int, float], ...]:
    """Growth of the hypervolume.

    Args:
        points: Objective values ``(m,)`` to minimise of each candidate, in order; None where it does not count.
        reference: The worst point that counts, ``(m,)``.

    Returns:
        ``(count, volume)`` wherever the volume changed; ``count`` starts at 1.
    """
    corner = np.asarray(reference, dtype=np.float64)
    archive: Archive[int] = Archive(corner.size)
    steps: list[tuple[int, float]] = []
    for count, point in enumerate(points, start=1):
        if point is None or not archive.add(point, count):
            continue
        volume = hypervolume(archive.points, corner)
        # A point beyond the reference changes the sum's rounding, not the volume.
        if not steps or volume > steps[-1][1] * (1.0 + _ROUNDING):
            steps.append((count, volume))
    return tuple(steps)
