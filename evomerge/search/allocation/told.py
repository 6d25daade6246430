"""Values that candidates of a batch are told: comparable, however many of its items each was asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis.allocation.racing import Part
from evomerge.analysis.allocation.shrinkage import shrunk
from evomerge.search.allocation.estimate import estimate

__all__ = ["joined"]

Vector = NDArray[np.float64]


def joined(rungs: Sequence[tuple[NDArray[np.int_], Sequence[Part]]], n: int) -> tuple[Vector, Vector]:
    """Values of one score on a common scale, and their standard errors.

    Who was asked all rungs gets the mean over all of their items. Who left earlier gets its mean over the items it was
    asked plus the difference that the later items make to those who went on: so an easy first rung flatters nobody. As
    values then differ in precision, all are drawn towards their mean by it, or those asked least would win by chance.

    Args:
        rungs: For each rung, which of the ``n`` candidates were asked it, and their parts; each rung's candidates are
            among those of the rung before, and its items hold those of the rung before.
        n: Number of candidates.

    Returns:
        Values and standard errors ``(n,)``; NaN for who was asked nothing.
    """
    value, se = np.full(n, np.nan), np.full(n, np.nan)
    own = [_totals(parts) for _, parts in rungs]
    shift = 0.0
    for number in reversed(range(len(rungs))):
        rows = rungs[number][0]
        later = rungs[number + 1][0] if number + 1 < len(rungs) else rows[:0]
        if len(later):
            place = np.searchsorted(rows, later)
            shift += float((own[number + 1][0] - own[number][0][place]).mean())
        left = ~np.isin(rows, later)
        value[rows[left]], se[rows[left]] = own[number][0][left] + shift, own[number][1][left]
    asked = np.isfinite(value)
    if len(rungs) > 1 and len(rungs[-1][0]) < int(asked.sum()):
        value[asked] = shrunk(value[asked], se[asked])
    return value, se


def _totals(parts: Sequence[Part]) -> tuple[Vector, Vector]:
    value, variance = np.zeros(len(parts[0].values)), np.zeros(len(parts[0].values))
    for part in parts:
        if part.exact:
            value = value + part.means
            continue
        found = estimate(part.values, np.broadcast_to(part.weights, part.values.shape), part.population)
        value, variance = value + found.value, variance + found.se**2
    return value, np.sqrt(variance)
