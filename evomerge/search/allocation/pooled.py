"""Means over the whole pool of candidates that have answered parts of it: where the run's estimator is called."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis import estimators
from evomerge.analysis.clusters import cluster_means, cluster_sums
from evomerge.analysis.estimators import Answers
from evomerge.search.allocation.book import AnswerBook, Column
from evomerge.search.allocation.estimate import Estimates, estimate
from evomerge.search.allocation.settings import MEAN, AllocationSettings

__all__ = ["PoolMeans"]


class PoolMeans:
    """Estimates of candidates' means over a task's pool, from all that they have answered in any batch.

    Args:
        settings: The estimator and its options.
        book: The answers.
        experts: Digests of the merged models.
    """

    def __init__(self, settings: AllocationSettings, book: AnswerBook, experts: Sequence[str]) -> None:
        self.estimator = settings.estimator
        self._options = dict(settings.estimator_options)
        self._book = book
        self._experts = tuple(book.rows(experts).tolist())
        self._known: dict[Column, Estimates] = {}
        self._version = -1

    def misfit(self, column: Column) -> list[str]:
        """Why the estimator cannot be applied to what has been answered; empty if it can."""
        if self.estimator == MEAN or not len(self._book):
            return []
        return estimators.load(self.estimator).misfit(self._table(column, self._book.answers(column)))

    def of(self, column: Column, rows: NDArray[np.int_], values: NDArray[np.float64] | None = None) -> Estimates:
        """Estimates of candidates.

        Args:
            column: The task and its metric.
            rows: The candidates' rows.
            values: Answers that stand for those of the column, of all candidates, ``(candidates, items)``.
        """
        if self.estimator == MEAN or values is not None:
            return self._estimated(column, rows, values)
        if self._version != self._book.version:
            self._known, self._version = {}, self._book.version
        if column not in self._known:
            self._known[column] = self._estimated(column, np.arange(len(self._book)), None)
        found = self._known[column]
        return Estimates(found.value[rows], found.se[rows])

    def _estimated(self, column: Column, rows: NDArray[np.int_], values: NDArray[np.float64] | None) -> Estimates:
        """By the estimator; weighted means of who has answered all, and where it has no value or does not fit."""
        task, own = column[0], self._book.answers(column) if values is None else values
        plain = _means(own[rows], self._book.weights(task)[rows], self._book.codes.get(task))
        if self.estimator == MEAN:
            return plain
        table = self._table(column, own)
        part = np.flatnonzero((table.counts[rows] > 0) & (table.counts[rows] < own.shape[1]))
        if not len(part) or estimators.load(self.estimator).misfit(table):
            return plain
        found = estimators.estimate(self.estimator, table, rows[part], **self._options)
        known = np.isfinite(found.value) & np.isfinite(found.se)
        value, se = plain.value.copy(), plain.se.copy()
        value[part[known]], se[part[known]] = found.value[known], found.se[known]
        return Estimates(value, se)

    def _table(self, column: Column, values: NDArray[np.float64]) -> Answers:
        inclusion = self._book.inclusion(column[0])
        # Where items were named and not drawn, some had no chance; the others are taken for a random part then, as the
        # plain mean takes them.
        share = np.isfinite(values).mean(axis=1, keepdims=True)
        inclusion = np.where((inclusion <= 0.0).any(axis=1, keepdims=True), share, inclusion)
        clusters = self._book.codes.get(column[0])
        return Answers(values, inclusion, self._book.genomes, clusters=clusters, experts=self._experts)


def _means(values: NDArray[np.float64], weights: NDArray[np.float64], codes: NDArray[np.intp] | None) -> Estimates:
    """Weighted means, for which whole clusters count."""
    if codes is not None:
        values, weights = cluster_means(values, codes), cluster_sums(weights, codes)
    return estimate(values, weights, values.shape[1])
