"""Answers that were cut at their length limit, as a rival explanation of a difference between two models.

A cut answer is judged as it is, mostly as wrong. Where one model is cut more often than the other, a difference of
their scores may be one of lengths, which another limit would take away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evomerge.analysis.strata import Stratum, common_strata, stratified_difference, stratified_p_value

__all__ = ["Truncation", "UnevenTruncation", "truncation", "uneven_truncation"]

_LEVEL = 0.05


@dataclass(frozen=True)
class Truncation:
    """How often the generated answers of two models to the same items were cut.

    Attributes:
        first: Share of the first model's generated answers that reached the length limit.
        second: The same of the second.
        apart: Whether these differ, by the 95 % interval of their paired difference.
        p: Two-sided p-value of the difference of scores if the items on which only one of the two was cut are counted
            as ties; None where the items say nothing.
    """

    first: float
    second: float
    apart: bool
    p: float | None

    def blurs(self, comparisons: float = 1.0) -> bool:
        """Whether a significant difference may be one of lengths: cuts differ, or the difference rests on them.

        Args:
            comparisons: What p-values are multiplied by for their number.
        """
        return self.apart or (self.first != self.second and (self.p is None or self.p * comparisons >= _LEVEL))


def truncation(first: Sequence[Stratum], second: Sequence[Stratum]) -> Truncation | None:
    """Compares how often the generated answers of two models were cut.

    Returns:
        The comparison; None when the two were not asked the same items, no answer was cut, or nobody knows of cuts.
    """
    if [stratum.items for stratum in first] != [stratum.items for stratum in second]:
        return None
    both = [(a, b) for a, b in zip(first, second, strict=True) if a.truncated is not None and b.truncated is not None]
    count = sum(len(a.items) for a, _ in both)
    ours, theirs = ([_cuts(pair[side], count) for pair in both] for side in (0, 1))
    between = stratified_difference(ours, theirs)
    if between is None or not any(stratum.values.any() for stratum in (*ours, *theirs)):
        return None
    tied = [_tied(a, b) for a, b in zip(first, second, strict=True)]
    apart = between.low > 0.0 or between.high < 0.0
    return Truncation(_share(ours), _share(theirs), apart, stratified_p_value(tied, second))


@dataclass(frozen=True)
class UnevenTruncation:
    """One task on which a model was cut more often than another, by more than chance.

    Attributes:
        task: The task.
        most: The model that was cut most often.
        least: The one that was cut least often.
        shares: Share of the answers of both that reached the length limit, in this order.
        p: Two-sided p-value of the paired difference, corrected for all pairs of models and all tasks (Bonferroni).
    """

    task: str
    most: str
    least: str
    shares: tuple[float, float]
    p: float


def uneven_truncation(models: Mapping[str, Mapping[str, Stratum]]) -> list[UnevenTruncation]:
    """Finds the tasks on which limits cut some models more often than others.

    Of each task the model that was cut most often is compared with the one that was cut least often, on the items that
    both were asked. These are the extremes of all models, so the p-value counts every pair.

    Args:
        models: Model to task to whether each of its generated answers was cut, 0 or 1.
    """
    tasks = dict.fromkeys(task for cuts in models.values() for task in cuts)
    found = []
    for task in tasks:
        shares = {name: float(cuts[task].values.mean()) for name, cuts in models.items() if task in cuts}
        most, least = max(shares, key=shares.__getitem__), min(shares, key=shares.__getitem__)
        pairs = len(shares) * (len(shares) - 1) // 2
        p = stratified_p_value(*common_strata([[models[most][task]], [models[least][task]]]))
        if shares[most] > shares[least] and p is not None and p * pairs * len(tasks) < _LEVEL:
            corrected = p * pairs * len(tasks)
            found.append(UnevenTruncation(task, most, least, (shares[most], shares[least]), corrected))
    return found


def _cuts(stratum: Stratum, count: int) -> Stratum:
    """A stratum whose values are whether answers were cut, with its share of ``count`` answers as its weight."""
    values = np.asarray(stratum.truncated, dtype=np.float64)
    return replace(stratum, values=values, weight=len(stratum.items) / count)


def _share(cuts: Sequence[Stratum]) -> float:
    return float(sum(stratum.weight * stratum.values.mean() for stratum in cuts))


def _tied(a: Stratum, b: Stratum) -> Stratum:
    """The first of two strata, with the second one's values where only one of the two was cut."""
    if a.truncated is None or b.truncated is None:
        return a
    return replace(a, values=np.where(a.truncated != b.truncated, b.values, a.values))
