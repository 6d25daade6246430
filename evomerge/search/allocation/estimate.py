"""Weighted means of answers, with their standard errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Estimates", "estimate"]

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Estimates:
    """Estimates of candidates' means over the whole pool.

    Attributes:
        value: ``(candidates,)``.
        se: Standard errors, ``(candidates,)``.
    """

    value: NDArray[np.float64]
    se: NDArray[np.float64]


def estimate(values: Matrix, weights: Matrix, pool: int | None) -> Estimates:
    """Weighted means (Hájek 1971) with standard errors by linearisation and the correction for a finite pool.

    Where all answers are alike, an error remains: that of the posterior under a uniform prior, as large as answers
    differ at all.

    Args:
        values: Answers, ``(candidates, items)``; what has no weight is not looked at.
        weights: Weight of each answer, inverse to the inclusion probability of its item; 0 where there is no answer;
            ``(candidates, items)``.
        pool: Number of items that the mean is over; None where there is no end to them.

    Returns:
        The estimates; NaN for a candidate without any answer.
    """
    known = weights > 0.0
    answers = np.where(known, values, 0.0)
    number = known.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = weights / weights.sum(axis=1, keepdims=True)
        value = (shares * answers).sum(axis=1)
        residuals = np.where(known, answers - value[:, None], 0.0)
        variance = ((shares * residuals) ** 2).sum(axis=1) * number / np.maximum(number - 1, 1)
        left = np.clip(1.0 - number / pool, 0.0, 1.0) if pool is not None else np.ones(len(values))
        least = (number + 1.0) / ((number + 2.0) ** 2 * (number + 3.0))
    given = answers[known]
    span = float(given.max() - given.min()) if given.size else 0.0
    return Estimates(value, np.sqrt(np.maximum(variance, least * span**2) * left))
