"""Comparisons of a model with another one on the same items, and their marks."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from evomerge.analysis import Interval, Truncation, holm, stratified_difference, stratified_p_value, truncation
from evomerge.evaluation import Evaluation, Objective
from evomerge.report.results import Results, better
from evomerge.report.scorecard import Scorecard

BEATS, SAME, WORSE = "beats best expert", "not distinguishable", "worse"
UNJUDGED, TRUNCATED = "cannot be judged", "truncation differs"
SIGNIFICANCE = 0.05

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Comparison:
    """A member and another model on the same held-out items.

    Attributes:
        against: The other model's baseline name.
        interval: Paired difference, member minus other, in natural units.
        p: Two-sided p-value; None where the items say nothing.
        adjusted: The p-value after Holm's correction for all comparisons of its kind in the report; None as for ``p``.
        mark: :data:`BEATS`, :data:`SAME` or :data:`WORSE`, by the adjusted p-value; :data:`UNJUDGED` where the items
            say nothing: there is one alone, or all differ by the same; :data:`TRUNCATED` in the place of a significant
            mark where one of the two was cut at its length limit more often, which may be all that differs.
        truncation: How often the answers of both were cut; None where none was.
    """

    against: str
    interval: Interval
    p: float | None = None
    adjusted: float | None = None
    mark: str = SAME
    truncation: Truncation | None = None

    @property
    def judged(self) -> bool:
        """Whether items and lengths of answers allow a mark."""
        return self.p is not None and self.mark != TRUNCATED

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object."""
        data = {"against": self.against, **self.interval.to_json(), "p": self.p, "p_holm": self.adjusted}
        cut = self.truncation
        return data if cut is None else data | {"truncated": [cut.first, cut.second]}


def compare(results: Results, evaluation: Evaluation | None, against: Mapping[str, str]) -> dict[str, Comparison]:
    """Compares an evaluation with a baseline on the same items, objective by objective.

    Args:
        results: The run.
        evaluation: Whose score is taken first.
        against: Objective label to the other's baseline name.

    Returns:
        Objective label to comparison, without those that cannot be made.
    """
    found: dict[str, Comparison] = {}
    for label, (name, ours, theirs) in pairs(results, evaluation, against).items():
        both = (ours.strata[label], theirs.strata[label])
        between = stratified_difference(*both)
        if between is not None:
            found[label] = Comparison(name, between, stratified_p_value(*both), truncation=truncation(*both))
    return found


def pairs(
    results: Results, evaluation: Evaluation | None, against: Mapping[str, str]
) -> dict[str, tuple[str, Scorecard, Scorecard]]:
    """The scorecards to compare: objective label to the other's baseline name, this one's and the other's."""
    ours = results.scorecard(evaluation)
    if evaluation is None or ours is None:
        return {}
    theirs = {label: (name, results.baseline_scorecard(name, evaluation.split)) for label, name in against.items()}
    return {label: (name, ours, card) for label, (name, card) in theirs.items() if card is not None}


def marked(comparisons: Mapping[Key, Comparison], objectives: Mapping[Key, Objective]) -> dict[Key, Comparison]:
    """The comparisons with their marks, corrected for the number of those of which the items say something.

    Args:
        comparisons: All comparisons of one kind.
        objectives: The objective of each.
    """
    known = {key: c.p for key, c in comparisons.items() if c.p is not None}
    adjusted = dict(zip(known, holm(list(known.values())), strict=True))
    found = {}
    for key, comparison in comparisons.items():
        p = adjusted.get(key)
        found[key] = replace(comparison, adjusted=p, mark=_mark(comparison, p, objectives[key]))
    return found


def _mark(comparison: Comparison, adjusted: float | None, objective: Objective) -> str:
    if adjusted is None or comparison.p is None:
        return UNJUDGED
    if adjusted >= SIGNIFICANCE:
        return SAME
    if comparison.truncation is not None and comparison.truncation.blurs(adjusted / comparison.p):
        return TRUNCATED
    return BEATS if better(objective, comparison.interval.mean) else WORSE
