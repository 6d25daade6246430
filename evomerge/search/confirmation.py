"""Which candidates are worth the test split."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from evomerge.analysis.pareto import knee, normalise

__all__ = ["choose"]


def choose(F: ArrayLike, limit: int) -> list[int]:
    """Chooses finalists from a front.

    All of it if there is room, else the knee, the best in each objective, then what lies furthest from those chosen.

    Args:
        F: Objectives to minimise of the front's members, ``(n, m)``.
        limit: How many to take at most.

    Returns:
        Rows of ``F``, ascending.
    """
    points = np.asarray(F, dtype=np.float64)
    if len(points) <= limit:
        return list(range(len(points)))
    if limit < 1:
        return []
    wanted = [knee(points), *(int(row) for row in points.argmin(axis=0))]
    chosen = list(dict.fromkeys(wanted))[:limit]
    scaled = normalise(points)
    while len(chosen) < limit:
        gaps = np.linalg.norm(scaled[:, None, :] - scaled[None, chosen, :], axis=2).min(axis=1)
        gaps[chosen] = -1.0
        chosen.append(int(gaps.argmax()))
    return sorted(chosen)
