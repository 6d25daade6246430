"""The items that one batch is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis.clusters import cluster_means, cluster_sums

__all__ = ["Choice", "Prefix", "Window"]

LEAST = 5  # items or clusters of a task in the first rung, below which no test says anything
FACTOR = 3  # by which each rung is larger than the one before (Jamieson & Talwalkar 2016 halve with 3 or 4)


@dataclass(frozen=True, eq=False)
class Choice:
    """The items of one task in a window.

    Attributes:
        rows: Rows of the task's pool in the order in which they are asked, ``(n,)``: the first ``k`` are asked first.
        inclusion: Probability of each item of the pool to be among them, ``(pool,)``.
        mixed: Whether their order is random, so that the first of them are a simple random part.
        codes: Cluster of each item of the pool, counted from 0, ``(pool,)``: clusters are asked whole, and the first
            ``k`` of the order are clusters. None: each item stands alone.
    """

    rows: NDArray[np.int_]
    inclusion: NDArray[np.float64]
    mixed: bool = True
    codes: NDArray[np.intp] | None = None

    @classmethod
    def named(cls, rows: NDArray[np.int_], pool: int) -> Choice:
        """Items that were not drawn, in an order that means something."""
        return cls(rows, np.isin(np.arange(pool), rows).astype(np.float64), mixed=False)

    def opened(self, codes: NDArray[np.intp]) -> Choice:
        """The items of clusters that were chosen as if they were items.

        Args:
            codes: Cluster of each item of the pool, ``(pool,)``.
        """
        rows = [np.flatnonzero(codes == cluster) for cluster in self.rows]
        return Choice(np.concatenate(rows), self.inclusion[codes], self.mixed, codes)

    @property
    def units(self) -> NDArray[np.intp]:
        """Place of each item's cluster among those that are asked, in the order of their first items, ``(n,)``."""
        if self.codes is None:
            return np.arange(len(self.rows))
        _, first, place = np.unique(self.codes[self.rows], return_index=True, return_inverse=True)
        return np.argsort(np.argsort(first))[place.reshape(-1)]

    @property
    def size(self) -> int:
        """How many clusters are asked; an item that stands alone is one."""
        return int(self.units.max()) + 1 if len(self.rows) else 0

    def means(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Answers to the items that are asked, ``(candidates, n)``, as means of clusters, ``(candidates, size)``."""
        return values if self.codes is None else cluster_means(values, self.units)

    @property
    def weights(self) -> NDArray[np.float64]:
        """The weight of each cluster in a mean: the sum of its items' inverse probabilities, ``(size,)``."""
        single = 1.0 / self.probabilities
        return single if self.codes is None else cluster_sums(single[None, :], self.units)[0]

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Inclusion probabilities of the items that are asked, ``(n,)``."""
        return self.inclusion[self.rows]

    def prefix(self, size: int) -> Choice:
        """The first clusters or items, in the order of the pool, with their own probabilities."""
        part = size / self.size if self.mixed and len(self.rows) else 1.0
        rows = np.sort(self.rows[self.units < size])
        if self.mixed:
            return Choice(rows, part * self.inclusion, codes=self.codes)
        return replace(Choice.named(rows, len(self.inclusion)), codes=self.codes)


@dataclass(frozen=True, eq=False)
class Prefix:
    """The items that the candidates of one rung have been asked when it is over.

    Attributes:
        choices: Task to its items, in the order of the pool.
        items: Task to item ids; functions of the whole model among them, if there are any.
        probabilities: Task to the inclusion probability of each item; None where all are 1.
        weights: Task to the weight of each item, inverse to its probability, or of each cluster.
    """

    choices: Mapping[str, Choice]
    items: Mapping[str, tuple[str, ...]]
    probabilities: Mapping[str, tuple[float, ...]] | None
    weights: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Window:
    """The items of one batch, the same for all its candidates, so that they can be compared (common random numbers).

    Attributes:
        pool: Task to all the items that may be asked.
        choices: Task to its items in this window.
        always: What is asked with the first items: functions of the whole model.
    """

    pool: Mapping[str, tuple[str, ...]]
    choices: Mapping[str, Choice]
    always: Mapping[str, tuple[str, ...]]

    def rungs(self, count: int) -> list[Prefix]:
        """The nested prefixes that are asked one after the other, each three times as large; the last is all of it.

        Args:
            count: How many at most; windows that are too small for so many have fewer.
        """
        largest = max((choice.size for choice in self.choices.values()), default=0)
        shares = [FACTOR**-step for step in reversed(range(count)) if step == 0 or largest * FACTOR**-step >= LEAST]
        return [self.prefix(share) for share in shares]

    def prefix(self, share: float) -> Prefix:
        """The first items of each task, so large a share of it, and at least a few."""
        choices = {task: choice.prefix(_size(choice.size, share)) for task, choice in self.choices.items()}
        items = {task: tuple(self.pool[task][row] for row in choice.rows) for task, choice in choices.items()}
        chances = {task: tuple(choice.probabilities.tolist()) for task, choice in choices.items()}
        drawn = any(p < 1.0 for row in chances.values() for p in row)
        weights = {task: choice.weights for task, choice in choices.items()}
        return Prefix(choices, {**items, **self.always}, chances if drawn else None, weights)


def _size(whole: int, share: float) -> int:
    """So large a share, rounded up but for errors of the product, and at least a few."""
    return min(max(int(np.ceil(whole * share - 1e-9)), min(LEAST, whole)), whole)
