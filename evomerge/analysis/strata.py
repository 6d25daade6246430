"""Scores over several tasks: weighted sums of means over items, with the tasks as independent strata."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis.difference import paired_differences
from evomerge.analysis.intervals import Interval, interval, is_binary, weighted_sum
from evomerge.analysis.significance import p_value

__all__ = [
    "CONFIDENCE",
    "Stratum",
    "common_strata",
    "stratified_difference",
    "stratified_differences",
    "stratified_p_value",
    "stratified_score",
]

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Stratum:
    """One task's items in a score.

    Attributes:
        task: The task.
        items: Item ids, sorted.
        values: One value per item, ``(items,)``; their mean is the task's part of the score.
        weight: Weight of that mean in the score.
        clusters: The cluster of each item, ``(items,)``: items that belong together. None: each stands alone.
        truncated: Whether each answer was generated up to its length limit, ``(items,)``; None where answers were not
            generated, or nobody knows.
    """

    task: str
    items: tuple[str, ...]
    values: NDArray[np.float64]
    weight: float
    clusters: tuple[str, ...] | None = None
    truncated: NDArray[np.bool_] | None = None


def stratified_score(strata: Sequence[Stratum], confidence: float = CONFIDENCE) -> Interval:
    """The weighted sum of the strata's means, with its interval.

    Raises:
        ValueError: if there is no stratum, or as for `interval`.
    """
    return _combined([interval(s.values, is_binary(s.values), confidence, s.clusters) for s in strata], strata)


def common_strata(scores: Sequence[Sequence[Stratum]]) -> list[tuple[Stratum, ...]]:
    """Several models' strata on the items that all of them were asked.

    Args:
        scores: Each model's strata.

    Returns:
        The same without other items and without tasks that not all have, tasks in the first model's order; empty for
        every model if nothing is common.
    """
    by_task = [{stratum.task: stratum for stratum in own} for own in scores]
    first, *others = by_task
    found: list[list[Stratum]] = [[] for _ in scores]
    for task in first:
        if not all(task in own for own in others):
            continue
        items = set(first[task].items).intersection(*(own[task].items for own in others))
        if items:
            for kept, own in zip(found, by_task, strict=True):
                kept.append(_only(own[task], items))
    return [tuple(kept) for kept in found]


def _only(stratum: Stratum, items: Collection[str]) -> Stratum:
    """A stratum's part on some of its items."""
    if len(items) == len(stratum.items):
        return stratum
    rows = [row for row, item in enumerate(stratum.items) if item in items]
    return replace(
        stratum,
        items=tuple(stratum.items[row] for row in rows),
        values=stratum.values[rows],
        clusters=None if stratum.clusters is None else tuple(stratum.clusters[row] for row in rows),
        truncated=None if stratum.truncated is None else stratum.truncated[rows],
    )


def stratified_difference(
    first: Sequence[Stratum], second: Sequence[Stratum], confidence: float = CONFIDENCE
) -> Interval | None:
    """The paired difference ``first - second`` of two scores.

    Returns:
        The difference with its interval; None when the two were not asked the same items.
    """
    at = stratified_differences(first, second)
    return None if at is None else at(confidence)


def stratified_differences(first: Sequence[Stratum], second: Sequence[Stratum]) -> Callable[[float], Interval] | None:
    """As `stratified_difference`, by confidence: what does not depend on that is computed once."""
    if not first or [(s.task, s.items) for s in first] != [(s.task, s.items) for s in second]:
        return None
    parts = [paired_differences(a.values, b.values, a.clusters) for a, b in zip(first, second, strict=True)]
    return lambda confidence: _combined([part(confidence) for part in parts], first)


def stratified_p_value(first: Sequence[Stratum], second: Sequence[Stratum]) -> float | None:
    """Two-sided p-value of a paired difference, see `p_value`.

    Returns:
        The p-value; None when the two were not asked the same items, or the items say nothing.
    """
    at = stratified_differences(first, second)
    return None if at is None else p_value(at)


def _combined(single: Sequence[Interval], strata: Sequence[Stratum]) -> Interval:
    if len(single) == 1 and strata[0].weight == 1.0:
        return single[0]
    return weighted_sum(single, [s.weight for s in strata])
