"""Whether a model holds what others reach: no worse than each of them by more than a margin (non-inferiority).

A model holds if it does so in every objective at once. Each objective's hypothesis "it is worse by the margin or more"
is tested alone, and the model holds where all are rejected: the largest of their p-values is then a p-value of the
whole (Berger 1982, doi:10.2307/1268781), and needs no correction for the number of objectives. It falls short where one
is worse by more than the margin: the smallest of those p-values, times their number. Tests are one-sided at 2.5 %, so
that the answer is that of 95 % intervals: an objective is held where its interval lies above minus the margin.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evomerge.analysis.intervals import Interval
from evomerge.analysis.significance import holm, one_sided_p_value
from evomerge.analysis.strata import CONFIDENCE, Stratum, stratified_differences
from evomerge.analysis.student import normal_quantile

__all__ = ["FAILS", "HOLDS", "LEVEL", "OPEN", "MarginTest", "factor_to_settle", "joint_verdicts", "margin_test"]

HOLDS, OPEN, FAILS = "holds", "open", "falls short"
LEVEL = 0.025
POWER = 0.8
_ROUNDING = 1e-12


@dataclass(frozen=True)
class MarginTest:
    """One model against another in one objective.

    Attributes:
        difference: Paired difference in the objective's natural direction: above zero is better; with its interval.
        margin: How much worse is still held, 0 or more.
        holds: p-value of "worse by the margin or more"; small where the objective is held. None where items say
            nothing.
        fails: p-value of "not worse by more than the margin"; small where it is not held. None as for ``holds``.
    """

    difference: Interval
    margin: float
    holds: float | None
    fails: float | None

    @property
    def level(self) -> bool:
        """Whether the difference as observed lies within the margin, or above zero."""
        return self.difference.mean >= -self.margin - _ROUNDING


def margin_test(first: Sequence[Stratum], second: Sequence[Stratum], margin: float, sign: float) -> MarginTest | None:
    """Tests whether the first of two models is worse than the second by more than a margin.

    Args:
        first: The first one's items.
        second: The second one's.
        margin: In natural units, 0 or more.
        sign: 1 where higher is better, else -1.

    Returns:
        The test; None where the two were not asked the same items.
    """
    at = stratified_differences(first, second)
    if at is None:
        return None

    def difference_at(confidence: float) -> Interval:
        found = at(confidence)
        ends = sorted((sign * found.low, sign * found.high))
        return Interval(sign * found.mean, found.se, *ends)

    holds = one_sided_p_value(difference_at, -margin)
    return MarginTest(difference_at(CONFIDENCE), margin, holds, None if holds is None else 1.0 - holds)


def joint_verdicts(models: Sequence[Sequence[MarginTest]]) -> list[str]:
    """Verdicts over all objectives, corrected for the number of models (Holm).

    Args:
        models: For each model its tests, one per objective.

    Returns:
        For each model `HOLDS`, `FAILS`, or `OPEN` where the items settle neither.
    """
    holds = holm([max((1.0 if t.holds is None else t.holds for t in tests), default=1.0) for tests in models])
    fails = holm(
        [
            min(1.0, len(tests) * min((1.0 if t.fails is None else t.fails for t in tests), default=1.0))
            for tests in models
        ]
    )
    return [HOLDS if yes < LEVEL else FAILS if no < LEVEL else OPEN for yes, no in zip(holds, fails, strict=True)]


def factor_to_settle(test: MarginTest, level: float = LEVEL) -> float:
    """How many times as many items would settle whether an objective is held, if the difference stays as it is.

    Settled is what a one-sided test at ``level`` finds with a probability of 80 %: the standard error must be at most
    the distance to minus the margin over the sum of the two normal quantiles.

    Args:
        test: The objective's test.
        level: Level of the test; divide it by the number of models that are tested.

    Returns:
        The factor, which may be below 1; infinite where the difference is minus the margin, or nothing is known of its
        spread.
    """
    both = 1.0 - 2.0 * level
    at_95 = (test.difference.high - test.difference.low) / (2.0 * normal_quantile(CONFIDENCE))
    distance = abs(test.difference.mean + test.margin)
    if not math.isfinite(at_95) or distance <= _ROUNDING:
        return math.inf
    needed = distance / (normal_quantile(both) + normal_quantile(2.0 * POWER - 1.0))
    return (at_95 / needed) ** 2
