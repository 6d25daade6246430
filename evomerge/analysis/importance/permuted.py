"""Permutation importance of groups of inputs (Breiman 2001, doi:10.1023/A:1010933404324), measured on held-out points.

A smooth model is fitted to ranks of the scores. Its errors on points that it has not seen say how much of their
variance it explains. Half of what is added to them when a group's values come from other points is the group's part in
the variance (Jansen 1999, doi:10.1016/S0010-4655(98)00154-4), alone and together with others: what the model uses. What
is added when it is fitted without the group is what no other group can stand in for. Points of a search are no
random sample: inputs that moved together share what they explain, which is why both numbers are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evomerge.analysis.importance.kernel_ridge import Fit, Grid
from evomerge.analysis.intervals import Interval, interval

__all__ = ["LEAST_EXPLAINED", "LEAST_POINTS", "Importance", "Share", "importance", "importances"]

LEAST_POINTS = 30  # below which nothing is fitted
LEAST_EXPLAINED = 0.2  # of the variance of held-out points, below which a model says nothing about its inputs
_MOST_POINTS = 200
_FOLDS, _PERMUTATIONS = 5, 20
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Share:
    """Part of the variance of held-out ranks that hangs on a group of inputs.

    Attributes:
        used: Half the loss of explained variance when the group's values are another point's.
        own: Loss when the model is fitted without the group: small where others that moved with it stand in for it.
        trend: Rank correlation of the group's mean with the score; 0 also where the best lies in the middle.
    """

    used: Interval
    own: Interval
    trend: float


@dataclass(frozen=True)
class Importance:
    """Dependence of scores on groups of inputs.

    Attributes:
        points: How many points were looked at.
        explained: Part of the variance of held-out ranks that the model explains; below 0 where it is worse than their
            mean.
        told: Whether that is enough to say anything: `LEAST_EXPLAINED` or more, and surely above 0.
        shares: Name of a group to its share.
    """

    points: int
    explained: Interval
    told: bool
    shares: Mapping[str, Share]


def importance(
    inputs: ArrayLike, scores: ArrayLike, groups: Mapping[str, Sequence[int]], batches: Sequence[int]
) -> Importance | None:
    """Takes apart what scores hang on.

    Args:
        inputs: ``(n, features)``.
        scores: One per point, ``(n,)``; more is better.
        groups: Name to columns of ``inputs``.
        batches: The batch of each point, ``(n,)``: points of one batch are held out together, as they are alike, and
            intervals count whole batches. Where there are fewer than five each point stands alone.

    Returns:
        The importance; None where there are too few points, or no input or score varies.
    """
    return importances(inputs, {"": scores}, groups, batches)[""]


def importances(
    inputs: ArrayLike, scores: Mapping[str, ArrayLike], groups: Mapping[str, Sequence[int]], batches: Sequence[int]
) -> dict[str, Importance | None]:
    """Takes apart what several scores of the same points hang on; most of the work is done once for all of them.

    Args:
        inputs: See `importance`, as the others.
        scores: Name to one score per point.
        groups: Name to columns of ``inputs``.
        batches: The batch of each point.

    Returns:
        Name to the score's importance.
    """
    rows, labels = _thinned(len(np.asarray(inputs)), batches)
    table = np.asarray(inputs, np.float64)[rows]
    found: dict[str, Importance | None] = dict.fromkeys(scores)
    outputs = {name: np.asarray(values, np.float64)[rows] for name, values in scores.items()}
    outputs = {name: y for name, y in outputs.items() if len(y) >= LEAST_POINTS and y.min() != y.max()}
    if not outputs:
        return found
    spread = np.where(np.ptp(table, axis=0) > 0, table.std(axis=0), 0.0)
    if not spread.any():
        return found
    X = (table - table.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    varied = {name: [c for c in columns if spread[c] > 0] for name, columns in groups.items()}
    varied = {name: columns for name, columns in varied.items() if columns}
    ranks = {name: _ranks(y) for name, y in outputs.items()}
    points = _Points(X, labels)
    held = {name: _Held(points, (values - values.mean()) / values.std()) for name, values in ranks.items()}
    shares: dict[str, dict[str, Share]] = {name: {} for name in held}
    for group, columns in varied.items():
        grids, means = points.grids(columns), _ranks(X[:, columns].mean(axis=1).round(12))
        for name, one in held.items():
            shares[name][group] = one.share(columns, grids, _correlation(means, ranks[name]))
    return found | {name: one.importance(shares[name]) for name, one in held.items()}


class _Points:
    """Points in parts, each of which fits to all others predict.

    Attributes:
        X: ``(n, features)``, of variance 1.
        labels: The cluster of each point, ``(n,)``.
        parts: The points of each part, and all others.
    """

    def __init__(self, X: Array, labels: NDArray[np.int64]) -> None:
        self.X, self.labels = X, labels
        every = np.arange(len(X))
        self.parts = [(out, np.setdiff1d(every, out)) for out in _parts(labels)]

    def without(self, columns: Sequence[int]) -> Array:
        """The inputs but for some columns."""
        return self.X[:, np.setdiff1d(np.arange(self.X.shape[1]), columns)]

    def grids(self, columns: Sequence[int]) -> list[Grid]:
        """For each part the fits to all others without some columns; none where no column is left."""
        rest = self.without(columns)
        return [Grid(rest[seen]) for _, seen in self.parts] if rest.shape[1] else []


class _Held:
    """Squared errors of predictions of points by fits that have not seen them.

    Attributes:
        plain: Of the mean of the others, ``(n,)``.
        model: Of the model, ``(n,)``.
    """

    def __init__(self, points: _Points, y: Array) -> None:
        self._points, self._y = points, y
        self._fits: list[Fit] = []
        self.plain, self.model = np.zeros(len(y)), np.zeros(len(y))
        for (out, seen), grid in zip(points.parts, points.grids(()), strict=True):
            self._fits.append(Fit(points.X[seen], y[seen], grid.chosen(y[seen])))
            self.plain[out] = (y[out] - y[seen].mean()) ** 2
            self.model[out] = (y[out] - self._fits[-1].predict(points.X[out])) ** 2

    def importance(self, shares: Mapping[str, Share]) -> Importance:
        """All of it, with the shares of groups."""
        found = self._interval(self.plain - self.model)
        explained = replace(found, high=min(found.high, 1.0))
        told = bool(explained.mean >= LEAST_EXPLAINED and explained.low > 0.0)
        return Importance(len(self._y), explained, told, shares)

    def share(self, columns: Sequence[int], grids: Sequence[Grid], trend: float) -> Share:
        """The share of some columns; ``grids`` are of the points without them."""
        return Share(
            self._interval((self._shuffled(columns) - self.model) / 2.0),
            self._interval(self._without(columns, grids) - self.model),
            trend,
        )

    def _interval(self, gains: Array) -> Interval:
        """The mean of gains, as a part of the variance; the uncertainty is that over batches."""
        return interval(gains / self.plain.mean(), False, clusters=self._points.labels.tolist())

    def _shuffled(self, columns: Sequence[int]) -> Array:
        """Errors with the columns' values of other points, ``(n,)``, on average over permutations."""
        rng = np.random.default_rng(0)  # a fixed one: the same run gives the same page
        total = np.zeros(len(self._y))
        for _ in range(_PERMUTATIONS):
            moved = self._points.X.copy()
            moved[:, columns] = self._points.X[rng.permutation(len(moved))][:, columns]
            for (out, _), fit in zip(self._points.parts, self._fits, strict=True):
                total[out] += (self._y[out] - fit.predict(moved[out])) ** 2
        return total / _PERMUTATIONS

    def _without(self, columns: Sequence[int], grids: Sequence[Grid]) -> Array:
        """Errors of fits without the columns, ``(n,)``."""
        if not grids:
            return self.plain
        rest, found = self._points.without(columns), np.zeros(len(self._y))
        for (out, seen), grid in zip(self._points.parts, grids, strict=True):
            fit = Fit(rest[seen], self._y[seen], grid.chosen(self._y[seen]))
            found[out] = (self._y[out] - fit.predict(rest[out])) ** 2
        return found


def _parts(labels: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    """A random partition of points into folds, which splits no batch."""
    known = np.unique(labels)
    order = np.random.default_rng(len(known)).permutation(known)
    return [np.flatnonzero(np.isin(labels, order[part::_FOLDS])) for part in range(min(_FOLDS, len(known)))]


def _thinned(count: int, batches: Sequence[int]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """At most so many points, spread evenly over the search; and the cluster of each."""
    labels = np.asarray(batches, dtype=np.int64)
    rows = np.unique(np.linspace(0, count - 1, min(count, _MOST_POINTS)).round().astype(np.intp))
    kept = labels[rows] if len(rows) else labels
    alone = len(np.unique(kept)) < _FOLDS
    return rows, np.arange(len(rows)) if alone else kept


def _correlation(first: Array, second: Array) -> float:
    """Pearson's correlation; 0 where one does not vary."""
    a, b = first - first.mean(), second - second.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size else 0.0


def _ranks(values: Array) -> Array:
    """Ranks from 1, equal values the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2.0)[places.reshape(-1)], dtype=np.float64)
