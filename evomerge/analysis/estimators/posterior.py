"""An estimate from a row's answers and a prediction from its genome, weighted by how certain each is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from evomerge.analysis.estimators._shared.answers import Answers, Indices
from evomerge.analysis.estimators._shared.estimates import Estimates
from evomerge.analysis.estimators._shared.spec import EstimatorSpec
from evomerge.analysis.estimators._shared.surrogate import BASE, base_scores, predicted, typical_variance


def estimate(answers: Answers, rows: Indices, options: Mapping[str, Any]) -> Estimates:
    """The combination of least variance of the two.

    With errors that are independent its weights are one over the variances, ``f_est/se**2 + f_sur/s**2``. On items that
    the rows share they are not: the prediction has taken over the error of sampling, and counts for less. Weights take
    the variance that so many answers have on average, not a row's own, which would go with its score. This estimator is
    ours.
    """
    scores = base_scores(answers, options)
    own, other = scores.take(rows), predicted(answers, scores, rows)
    first = own.se**2
    second = (other.contributions**2).sum(axis=1) + other.model
    common = (own.contributions * other.contributions).sum(axis=1)
    weight = _weight(typical_variance(scores)[rows], second, common)
    with np.errstate(invalid="ignore"):
        value = np.where(weight > 0.0, weight * own.value, 0.0)
        value = value + np.where(weight < 1.0, (1.0 - weight) * other.value, 0.0)
        outer = np.where(weight < 1.0, (1.0 - weight) ** 2 * second, 0.0)
        variance = np.where(weight > 0.0, weight**2 * first, 0.0) + outer + 2.0 * weight * (1.0 - weight) * common
        misfit = np.where(weight < 1.0, (1.0 - weight) ** 2 * other.model, 0.0)
    contributions = weight[:, None] * own.contributions + (1.0 - weight)[:, None] * other.contributions
    model = weight**2 * own.model + misfit
    se = np.sqrt(np.maximum(variance, 0.0))
    return replace(own, value=value, se=se, contributions=contributions, model=model)


def _weight(first: np.ndarray, second: np.ndarray, common: np.ndarray) -> np.ndarray:
    """Weight of the first of two estimates of given variances and covariance; 1 where the second is unknown."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (second - common) / (first + second - 2.0 * common)
    found = np.where(np.isfinite(first), found, 0.0)
    found = np.where(np.isfinite(second), found, 1.0)
    return np.clip(np.where(np.isnan(found), 1.0, found), 0.0, 1.0)


ESTIMATOR = EstimatorSpec(
    name="posterior",
    title="An estimate from the answers and the surrogate's prediction, weighted by their variances (ours)",
    estimate=estimate,
    options=BASE,
    genomes=True,
    predicts=True,
)
