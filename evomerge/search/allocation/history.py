"""The records that a policy may look at: the answers so far, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis.clusters import cluster_means

__all__ = ["History", "TaskAnswers"]


@dataclass(frozen=True, eq=False)
class TaskAnswers:
    """The answers to the items of one task.

    Attributes:
        values: The metric that is searched for, ``(candidates, items of the pool)``, baselines among the candidates, in
            the order in which they were first asked; NaN where a candidate was not asked, or failed.
        windows: Rows of the pool that each earlier batch was asked, the last batch last.
        current: Whether a candidate is in the population now, ``(candidates,)``.
    """

    values: NDArray[np.float64]
    windows: Sequence[NDArray[np.int_]] = ()
    current: NDArray[np.bool_] | None = None

    def by_cluster(self, codes: NDArray[np.intp]) -> TaskAnswers:
        """The same where every cluster is one item, whose answer is the mean of its items'.

        Args:
            codes: Cluster of each item, counted from 0, ``(items,)``.
        """
        windows = [np.unique(codes[rows]) for rows in self.windows]
        return TaskAnswers(cluster_means(self.values, codes), windows, self.current)

    @property
    def pool(self) -> int:
        """Number of items that may be asked."""
        return self.values.shape[1]

    @property
    def last(self) -> NDArray[np.bool_]:
        """Whether the last batch was asked an item, ``(items,)``."""
        found = np.zeros(self.pool, dtype=bool)
        if self.windows:
            found[self.windows[-1]] = True
        return found

    @property
    def used(self) -> NDArray[np.int_]:
        """How many batches were asked an item, ``(items,)``."""
        found = np.zeros(self.pool, dtype=int)
        for rows in self.windows:
            found[rows] += 1
        return found

    @property
    def whole(self) -> NDArray[np.float64]:
        """The rows of candidates that have answered every item."""
        return self.values[np.isfinite(self.values).all(axis=1)]


@dataclass(frozen=True, eq=False)
class History:
    """The records of a search before a batch.

    Attributes:
        batch: Number of the batch that is about to be asked.
        tasks: Task to its answers.
        genomes: Genomes of the candidates, ``(candidates, n_var)``; NaN where a candidate has none, as baselines.
    """

    batch: int
    tasks: Mapping[str, TaskAnswers]
    genomes: NDArray[np.float64]
