"""Answers predicted from those of other candidates, corrected by what the predictions missed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evomerge.analysis.estimators._shared.answers import Answers, Array, Group, Indices, filled
from evomerge.analysis.estimators._shared.design import assembled, expanded_mean
from evomerge.analysis.estimators._shared.difficulty import predictions
from evomerge.analysis.estimators._shared.estimates import Estimates
from evomerge.analysis.estimators._shared.ridge import cross_fitted, folds, ridge
from evomerge.analysis.estimators._shared.sources import FOLDS, SEED, SHARE, SOURCES
from evomerge.analysis.estimators._shared.spec import EstimatorSpec
from evomerge.options import Option

FEWEST_SOURCES = 5
FEWEST_ANSWERS = 4


def estimate(answers: Answers, rows: Indices, options: Mapping[str, Any]) -> Estimates:
    """A row's answers by ridge regression on the sources' answers to the same items, cross-fitted.

    The idea is that of the AIPW estimator of Zhang et al. 2025 (benchmark-prediction, benchpred/aipw.py: ridge with
    penalty 10 on the sources' answers), which corrects by residuals of the very fit, divided by 1 + n/(N-n). Here each
    part of the answers is corrected by a fit that has not seen it (`cross_fitted`), so that the estimate is unbiased
    and its standard error honest. With fewer than five sources, or four clusters answered, it is the control variate.
    """
    items = answers.values.shape[1]
    value, residuals = np.full(len(rows), np.nan), np.zeros((len(rows), items))
    for group in answers.groups(rows, answers.sources(options["share"], options["sources"])):
        apart = len(np.unique(answers.cluster_index[group.seen]))
        if len(group.sources) >= FEWEST_SOURCES and apart >= FEWEST_ANSWERS and len(group.seen) < items:
            value[group.places], residuals[group.places] = _regressed(answers, group, options)
        else:
            predicted = predictions(answers, group)
            residuals[group.places] = answers.values[group.rows] - predicted
            rest = expanded_mean(answers, group.rows, residuals[group.places], "hajek")
            value[group.places] = predicted.mean() + rest
    return assembled(answers, rows, value, residuals)


def _regressed(answers: Answers, group: Group, options: Mapping[str, Any]) -> tuple[Array, Array]:
    """Estimates of a group, and residuals over all items."""
    inputs = filled(answers.values[group.sources]).T
    values = answers.values[np.ix_(group.rows, group.seen)]

    def fit(_: int, kept: Indices) -> Array:
        return ridge(inputs[group.seen[kept]], values[:, kept].T, options["penalty"], inputs).T

    probabilities = answers.probabilities[np.ix_(group.rows, group.seen)]
    parts = folds(answers.cluster_index[group.seen], options["folds"], options["seed"])
    crossed = cross_fitted(group, values, probabilities, fit, parts)
    residuals = np.zeros((len(group.rows), len(inputs)))
    residuals[:, group.seen] = crossed.residuals
    return crossed.value, residuals


ESTIMATOR = EstimatorSpec(
    name="aipw",
    title="Ridge regression on other candidates' answers, cross-fitted and corrected by its residuals (AIPW)",
    estimate=estimate,
    options={
        "penalty": Option(10.0, None, float, "weight of the squared coefficients of the regression", low=1e-6),
        "folds": FOLDS,
        "share": SHARE,
        "sources": SOURCES,
        "seed": SEED,
    },
)
