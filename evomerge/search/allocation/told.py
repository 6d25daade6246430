"""Values that candidates of a batch are told: comparable, however many of its items each was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis.allocation.racing import Part
from evomerge.analysis.allocation.shrinkage import shrunk
from evomerge.evaluation import Constraint, Evaluation
from evomerge.search.allocation.constraints import violations
from evomerge.search.allocation.entrants import Entrants
from evomerge.search.allocation.estimate import estimate
from evomerge.search.allocation.scores import Scores
from evomerge.search.allocation.settings import MEAN

__all__ = ["joined", "levelled", "told"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


def told(
    entrants: Entrants,
    scores: Scores,
    constraints: Sequence[Constraint],
    baselines: Mapping[str, Evaluation],
) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """The values of a batch, from the items that its candidates share, or from all answers where an estimator says so.

    The mean is taken over the batch's own items (`joined`). Any other estimator makes candidates comparable that were
    asked different ones: its values rest on all that each has answered, survivors' in earlier batches too (`levelled`).

    Args:
        entrants: The candidates, and what each was asked.
        scores: Estimates.
        constraints: What must hold; violations are measured on the batch's own items.
        baselines: Name to evaluation of those that could be scored.

    Returns:
        Objectives to minimise ``(n, m)``, their standard errors, violations ``(n, constraints)`` and measures
        ``(n, measures)``; 0 in rows of failed candidates.
    """
    failed = entrants.failed()
    n, m, k = len(entrants.recipes), len(scores.objectives), len(scores.measures)
    values, se, missed = np.zeros((n, m + k)), np.zeros((n, m + k)), np.zeros((n, len(constraints)))
    good = [(rows[~failed[rows]], prefix) for rows, prefix in entrants.rungs]
    asked = [(rows, prefix, [entrants.found[row] for row in rows]) for rows, prefix in good if len(rows)]
    if not asked:
        return values[:, :m], se[:, :m], missed, values[:, m:]
    if scores.estimator == MEAN:
        parts = [scores.minimised(found, prefix) + scores.measured(found, prefix) for _, prefix, found in asked]
        for column in range(m + k):
            rungs = [(rows, own[column]) for (rows, _, _), own in zip(asked, parts, strict=True)]
            values[:, column], se[:, column] = joined(rungs, n)
    else:
        rows, _, found = asked[0]
        groups = np.array([not entrants.proposed[row] for row in rows], dtype=int)
        for column, own in enumerate(scores.pooled(found)):
            se[rows, column] = own.se
            values[rows, column] = levelled(own.value, own.se, scores.answered(found), groups)
    for rows, prefix, found in asked:
        missed[rows] = violations(constraints, scores, baselines, found, prefix)
    values = np.where(failed[:, None], 0.0, values)
    return values[:, :m], se[:, :m], missed, values[:, m:]


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


def levelled(value: Vector, se: Vector, answered: NDArray[np.int_], groups: NDArray[np.int_]) -> Vector:
    """Estimates of different precision, drawn towards the mean of their group; of equal precision as they are.

    Else who was asked least would win by chance, or who survived by luck. The precision is that of as many answers on
    average: a candidate's own standard error goes with its score, and would change the order of equals.

    Args:
        value: Estimates, ``(n,)``.
        se: Their standard errors.
        answered: How much each has answered.
        groups: Group of each: those that are proposed now, and survivors, which are better on average.
    """
    kinds, place = np.unique(answered, return_inverse=True)
    if len(kinds) < 2:
        return value
    typical = np.sqrt(np.bincount(place, weights=se**2) / np.bincount(place))
    return shrunk(value, typical[place], groups)


def _totals(parts: Sequence[Part]) -> tuple[Vector, Vector]:
    value, variance = np.zeros(len(parts[0].values)), np.zeros(len(parts[0].values))
    for part in parts:
        if part.exact:
            value = value + part.means
            continue
        found = estimate(part.values, np.broadcast_to(part.weights, part.values.shape), part.population)
        value, variance = value + found.value, variance + found.se**2
    return value, np.sqrt(variance)
