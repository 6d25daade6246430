"""The items that one batch is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Choice", "Prefix", "Window"]

LEAST = 5  # items of a task in the first rung, below which no test says anything
FACTOR = 3  # by which each rung is larger than the one before (Jamieson & Talwalkar 2016 halve with 3 or 4)


@dataclass(frozen=True, eq=False)
class Choice:
    """The items of one task in a window.

    Attributes:
        rows: Rows of the task's pool in the order in which they are asked, ``(n,)``: the first ``k`` are asked first.
        inclusion: Probability of each item of the pool to be among them, ``(pool,)``.
        mixed: Whether their order is random, so that the first of them are a simple random part.
    """

    rows: NDArray[np.int_]
    inclusion: NDArray[np.float64]
    mixed: bool = True

    @classmethod
    def named(cls, rows: NDArray[np.int_], pool: int) -> Choice:
        """Items that were not drawn, in an order that means something."""
        return cls(rows, np.isin(np.arange(pool), rows).astype(np.float64), mixed=False)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Inclusion probabilities of the items that are asked, ``(n,)``."""
        return self.inclusion[self.rows]

    def prefix(self, size: int) -> Choice:
        """The first items, in the order of the pool, with their own probabilities."""
        part = size / len(self.rows) if self.mixed and len(self.rows) else 1.0
        if self.mixed:
            return Choice(np.sort(self.rows[:size]), part * self.inclusion)
        return Choice.named(np.sort(self.rows[:size]), len(self.inclusion))


@dataclass(frozen=True, eq=False)
class Prefix:
    """The items that the candidates of one rung have been asked when it is over.

    Attributes:
        choices: Task to its items, in the order of the pool.
        items: Task to item ids; functions of the whole model among them, if there are any.
        probabilities: Task to the inclusion probability of each item; None where all are 1.
        weights: Task to the weight of each item, inverse to its probability.
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
        largest = max((len(choice.rows) for choice in self.choices.values()), default=0)
        shares = [FACTOR**-step for step in reversed(range(count)) if step == 0 or largest * FACTOR**-step >= LEAST]
        return [self._prefix(share) for share in shares]

    def _prefix(self, share: float) -> Prefix:
        choices = {task: choice.prefix(_size(len(choice.rows), share)) for task, choice in self.choices.items()}
        items = {task: tuple(self.pool[task][row] for row in choice.rows) for task, choice in choices.items()}
        chances = {task: tuple(choice.probabilities.tolist()) for task, choice in choices.items()}
        drawn = any(p < 1.0 for row in chances.values() for p in row)
        weights = {task: 1.0 / choice.probabilities for task, choice in choices.items()}
        return Prefix(choices, {**items, **self.always}, chances if drawn else None, weights)


def _size(whole: int, share: float) -> int:
    return min(max(int(np.ceil(whole * share)), min(LEAST, whole)), whole)
