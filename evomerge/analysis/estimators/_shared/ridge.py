"""Ridge regression, and predictions that have not seen what they are corrected by."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from evomerge.analysis.estimators._shared.answers import Array, Group, Indices

__all__ = ["Crossed", "cross_fitted", "folds", "ridge"]

Fit = Callable[[int, Indices], Array]


def ridge(inputs: Array, outputs: Array, penalty: float, wanted: Array) -> Array:
    """Predictions of a ridge regression with an intercept that is not penalised.

    Args:
        inputs: ``(n, features)``.
        outputs: ``(n, targets)``.
        penalty: Weight of the squared coefficients.
        wanted: Where to predict, ``(m, features)``.

    Returns:
        ``(m, targets)``.
    """
    centre, level = inputs.mean(axis=0), outputs.mean(axis=0)
    moved = inputs - centre
    gram = moved.T @ moved + penalty * np.eye(inputs.shape[1])
    coefficients = np.linalg.solve(gram, moved.T @ (outputs - level))
    return level + (wanted - centre) @ coefficients


def folds(clusters: Indices, count: int, seed: int) -> list[Indices]:
    """A random partition of items into at most ``count`` parts of nearly equal size, which splits no cluster.

    Args:
        clusters: The cluster of each item, ``(n,)``.
        count: Number of parts.
        seed: It decides the partition, together with the number of clusters.

    Returns:
        Places of the items of each part.
    """
    known = np.unique(clusters)
    order = np.random.default_rng([seed, len(known)]).permutation(known)
    parts = min(count, len(known))
    return [np.flatnonzero(np.isin(clusters, order[part::parts])) for part in range(parts)]


class Crossed:
    """Cross-fitted estimates of one group of rows.

    Attributes:
        value: Estimated mean over all items, ``(rows,)``.
        residuals: ``(rows, seen)``: answers minus predictions by a fit that had not seen them.
    """

    def __init__(self, rows: int, seen: int) -> None:
        self.value = np.zeros(rows)
        self.residuals = np.zeros((rows, seen))


def cross_fitted(group: Group, values: Array, probabilities: Array, fit: Fit, parts: Sequence[Indices]) -> Crossed:
    """Predictions corrected by residuals, each part of the answers by a fit to the others.

    Given the answers outside a part, that part is a sample of all the other items. So the mean over all items is
    estimated without bias by what is known, the predictions for the rest, and the part's mean residual, whatever the
    predictions are; the estimate is the mean over parts. With equal inclusion probabilities this holds exactly. It is
    the cross-fitted difference estimator (cross-prediction of Zrnic & Candès 2024, doi:10.1073/pnas.2322083121) for a
    finite population.

    Args:
        group: Rows and the items that they were asked.
        values: Answers to these items, ``(rows, seen)``.
        probabilities: Their inclusion probabilities, ``(rows, seen)``.
        fit: Predictions for all items, ``(rows, items)``, without a part of the answers: from the number of the part,
            and the places of the others among the seen ones.
        parts: Places among the seen items, disjoint and complete.
    """
    n = len(group.seen)
    crossed = Crossed(*values.shape)
    missed, sizes, wanted = np.zeros(len(values)), np.zeros(len(values)), 0.0
    for number, part in enumerate(parts):
        kept = np.setdiff1d(np.arange(n), part)
        predicted = fit(number, kept)
        items, share = predicted.shape[1], len(part) / n
        known = np.zeros(items, dtype=bool)
        known[group.seen[kept]] = True
        residuals = values[:, part] - predicted[:, group.seen[part]]
        chance = probabilities[:, part] * share / (1.0 - probabilities[:, part] * (1.0 - share))
        missed += share / items * (residuals / chance).sum(axis=1)
        # What the part stands for; with unequal chances all parts together are scaled to the items that they stand for.
        sizes += share * (1.0 / chance).sum(axis=1)
        wanted += share * float((~known).sum())
        crossed.value += share * (values[:, kept].sum(axis=1) + predicted[:, ~known].sum(axis=1)) / items
        crossed.residuals[:, part] = residuals
    crossed.value += missed * wanted / sizes
    return crossed
