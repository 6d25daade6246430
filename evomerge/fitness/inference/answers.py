"""Joins a scorer's answers into answers per item, and refuses those that are not finite."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evomerge.fitness.inference.requests import Answer, Generated, Likelihood


class NonFiniteScore(ArithmeticError):
    """A candidate whose log-likelihoods are not finite.

    Args:
        task: Task of the first item affected.
        item: Id of that item.
    """

    def __init__(self, task: str, item: str) -> None:
        super().__init__(f"non-finite log-likelihood in task {task!r}, item {item}")
        self.task = task
        self.item = item


def join(item: str, task: str, parts: Sequence[Answer]) -> Answer:
    """The answer to one request of an item; windows of a rolling likelihood add up.

    Raises:
        NonFiniteScore: If an answer is not a finite number.
    """
    first = parts[0]
    if isinstance(first, Generated):
        if not first.finite:
            raise NonFiniteScore(task, item)
        return first
    windows = [part for part in parts if isinstance(part, Likelihood)]
    total = math.fsum(part.logprob for part in windows) if _all_finite(windows) else math.nan
    if not math.isfinite(total):
        raise NonFiniteScore(task, item)
    return Likelihood(total, all(part.greedy for part in windows))


def _all_finite(parts: Sequence[Likelihood]) -> bool:
    return all(math.isfinite(part.logprob) for part in parts)
