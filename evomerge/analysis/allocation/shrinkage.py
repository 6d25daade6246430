"""Posterior means of estimates of different precision, so that the least certain are not taken for the best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["shrunk"]

Vector = NDArray[np.float64]
_LEAST = 0.1  # of the mean squared error: the smallest variance of what is estimated, so that order is kept


def shrunk(values: Vector, se: Vector, groups: NDArray[np.int_] | None = None) -> Vector:
    """Empirical-Bayes estimates: each value is drawn towards the mean of its group, the more the less certain it is.

    Within a group ``f = mean + s^2 / (s^2 + se^2) * (value - mean)``, the mean weighted by precision and
    ``s^2 = var(values) - mean(se^2)`` (Morris 1983, doi:10.1080/01621459.1983.10477920).

    Args:
        values: Estimates, ``(n,)``.
        se: Their standard errors, 0 or more, ``(n,)``.
        groups: Group of each, such as the batch it was proposed in, ``(n,)``; None for one group.

    Returns:
        Posterior means ``(n,)``.
    """
    found = np.array(values, dtype=np.float64)
    labels = np.zeros(len(found), dtype=int) if groups is None else groups
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        if len(rows) < 3 or not (se[rows] > 0.0).any():
            continue
        error = se[rows] ** 2
        spread = max(float(values[rows].var(ddof=1) - error.mean()), _LEAST * float(error.mean()))
        weights = 1.0 / (spread + error)
        mean = float((weights * values[rows]).sum() / weights.sum())
        found[rows] = mean + spread / (spread + error) * (values[rows] - mean)
    return found
