"""Output of estimators: values, standard errors, and how far the errors of two rows go together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis.estimators._shared.answers import Array, Mask
from evomerge.analysis.intervals import Interval
from evomerge.analysis.student import student_quantile

__all__ = ["Estimates", "least_variance"]

CONFIDENCE = 0.95


def least_variance(count: Array | float) -> Array:
    """Variance of one answer of 0 or 1 after ``count`` that all agreed: that of the next one under a Beta(1, 1) prior.

    A sample without disagreement does not show that there is none. The value, ``(n + 1) / (n + 2)**2``, is never below
    a quarter over n but for a single answer, where it is two ninths.
    """
    n = np.asarray(count, dtype=np.float64)
    return (n + 1.0) / (n + 2.0) ** 2


@dataclass(frozen=True)
class Estimates:
    """Estimated scores of some rows of a table.

    The error that comes from which items were asked is kept as one contribution per cluster of items: a row's sampling
    variance is their sum of squares, and the covariance of two rows the sum of products. That is what makes a
    difference between rows on common items more certain than either.

    Attributes:
        value: Estimated mean over all items, ``(targets,)``; NaN where nothing is known.
        se: Its standard error, ``(targets,)``; infinite where nothing is known about it.
        contributions: ``(targets, clusters)``; 0 where a cluster was not asked or was asked for certain.
        asked: Which clusters each row answered something of, ``(targets, clusters)``.
        sampled: Share of a row's answers that stand for items which were not asked, ``(targets,)``: the
            finite-population correction; 1 where the items are themselves a sample.
        model: Variance beyond that of sampling, ``(targets,)``: of a model's misfit or of a prediction.
        scale: Distance between the largest and the smallest answer.
        binary: Whether answers are 0 and 1.
    """

    value: Array
    se: Array
    contributions: Array
    asked: Mask
    sampled: Array
    model: Array
    scale: float
    binary: bool

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of clusters that each row answered, ``(targets,)``."""
        return self.asked.sum(axis=1)

    def covariance(self) -> Array:
        """Covariance of the errors, ``(targets, targets)``, with the squared standard errors on its diagonal."""
        found = self.contributions @ self.contributions.T
        np.fill_diagonal(found, self.se**2)
        return found

    def interval(self, place: int, confidence: float = CONFIDENCE) -> Interval:
        """Interval of one estimate.

        For answers of 0 and 1 the score interval with the number of items that would give this standard error (Korn &
        Graubard 1998, Survey Methodology 24:193, with Wilson's interval); otherwise Student's t. Degrees of freedom are
        one less than the clusters.

        Args:
            place: Place of the row among the targets.
            confidence: Long-run share of intervals that hold the truth.
        """
        value, se = float(self.value[place]), float(self.se[place])
        if not math.isfinite(se):
            return Interval(value, se, -math.inf, math.inf)
        quantile = student_quantile(confidence, max(int(self.counts[place]) - 1, 1))
        if se == 0.0:
            return Interval(value, se, value, value)
        if self.binary and 0.0 <= value <= 1.0:
            return _score_interval(value, se, int(self.counts[place]), quantile)
        return Interval(value, se, value - quantile * se, value + quantile * se)

    def difference(self, first: int, second: int, confidence: float = CONFIDENCE) -> Interval:
        """The difference ``value[first] - value[second]``, with the covariance of the two on the items they share.

        Misfit and predictions of the two are taken for independent, which errs on the safe side for likely ones.

        Args:
            first: Place of the one among the targets.
            second: Place of the other.
            confidence: Long-run share of intervals that hold the truth.
        """
        mean = float(self.value[first] - self.value[second])
        if not math.isfinite(float(self.se[first] + self.se[second])):
            return Interval(mean, math.inf, -math.inf, math.inf)
        if first == second:
            return Interval(0.0, 0.0, 0.0, 0.0)
        se = math.sqrt(self._difference_variance(first, second))
        either = int((self.asked[first] | self.asked[second]).sum())
        margin = student_quantile(confidence, max(either - 1, 1)) * se
        return Interval(mean, se, mean - margin, mean + margin)

    def _difference_variance(self, first: int, second: int) -> float:
        if not (self.asked[first] & self.asked[second]).any():
            return float(self.se[first] ** 2 + self.se[second] ** 2)
        apart = self.contributions[first] - self.contributions[second]
        sampling = float(apart @ apart)
        sampled = float(max(self.sampled[first], self.sampled[second]))
        either = int((self.asked[first] | self.asked[second]).sum())
        floor = sampled * float(least_variance(either)) / either * self.scale**2
        if self.binary or sampling <= 1e-24 * self.scale**2:
            sampling = max(sampling, floor)
        return sampling + float(self.model[first] + self.model[second])

    def take(self, places: Sequence[int] | NDArray[np.int64]) -> Estimates:
        """The estimates of some of the targets."""
        index = np.asarray(places, dtype=np.int64)
        return replace(
            self,
            value=self.value[index],
            se=self.se[index],
            contributions=self.contributions[index],
            asked=self.asked[index],
            sampled=self.sampled[index],
            model=self.model[index],
        )


def _score_interval(value: float, se: float, count: int, quantile: float) -> Interval:
    """Wilson's interval for as many items as a simple random sample would need for this standard error."""
    smoothed = (count * value + 1.0) / (count + 2.0)
    n, z2 = smoothed * (1.0 - smoothed) / se**2, quantile**2
    centre = (value + z2 / (2.0 * n)) / (1.0 + z2 / n)
    margin = quantile / (1.0 + z2 / n) * math.sqrt(value * (1.0 - value) / n + z2 / (4.0 * n * n))
    return Interval(value, se, min(max(centre - margin, 0.0), value), max(min(centre + margin, 1.0), value))
