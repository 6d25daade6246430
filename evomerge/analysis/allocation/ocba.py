"""Shares of a budget of items for a few finalists: more for those that are hard to tell from the best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["additions", "shares"]

Vector = NDArray[np.float64]
_LEAST = 1e-3  # standard deviations: gaps below it are not told apart by any budget


def shares(values: NDArray[np.float64], deviations: NDArray[np.float64]) -> Vector:
    """Optimal computing budget allocation (Chen et al. 2000, doi:10.1023/A:1008349927281).

    For one objective ``n_i / n_j = (s_i / d_i)^2 / (s_j / d_j)^2`` with the gap ``d`` to the best one ``b``, and
    ``n_b = s_b sqrt(sum n_i^2 / s_i^2)``. For several, ours: the gap of a candidate is the one that decides whether it
    is dominated: over all others the largest of the smallest advantage, in standard deviations.

    Args:
        values: Estimates, less being better, ``(n, m)``.
        deviations: Standard deviation of an answer, ``(n, m)``.

    Returns:
        Shares of the budget ``(n,)``, adding up to 1.
    """
    n, m = values.shape
    spread = np.maximum(deviations, 1e-9 * max(float(deviations.max(initial=0.0)), 1e-9))
    if n == 1:
        return np.ones(1)
    if m == 1:
        return _one(values[:, 0], spread[:, 0])
    gaps = ((values[:, None, :] - values[None, :, :]) / spread[:, None, :]).min(axis=2)
    np.fill_diagonal(gaps, -np.inf)
    needed = 1.0 / np.maximum(np.abs(gaps.max(axis=1)), _LEAST) ** 2
    return np.asarray(needed / needed.sum())


def _one(values: Vector, spread: Vector) -> Vector:
    best = int(values.argmin())
    others = np.arange(len(values)) != best
    gaps = np.maximum((values - values[best]) / spread, _LEAST)
    needed = np.where(others, 1.0 / gaps**2, 0.0)
    needed[best] = spread[best] * np.sqrt((needed[others] ** 2 / spread[others] ** 2).sum())
    return np.asarray(needed / needed.sum())


def additions(wanted: Vector, counts: NDArray[np.int_], budget: int, most: int) -> NDArray[np.int_]:
    """Whole numbers of items to ask next, so that counts come near their shares.

    Args:
        wanted: Shares ``(n,)``.
        counts: Items that each candidate has been asked, ``(n,)``.
        budget: Items to spend now, over all candidates.
        most: Items that there are.

    Returns:
        Numbers ``(n,)``, adding up to the budget unless all candidates have been asked everything.
    """
    total = int(counts.sum()) + budget
    added = np.zeros(len(counts), dtype=int)
    for _ in range(min(budget, int((most - counts).sum()))):
        lacking = np.where(counts + added < most, wanted * total - counts - added, -np.inf)
        added[int(lacking.argmax())] += 1
    return added
