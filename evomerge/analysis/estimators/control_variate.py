"""The mean, corrected for how difficult the asked items are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evomerge.analysis.estimators._shared.answers import Answers, Indices
from evomerge.analysis.estimators._shared.design import WEIGHTS, assembled, expanded_mean
from evomerge.analysis.estimators._shared.difficulty import predictions
from evomerge.analysis.estimators._shared.estimates import Estimates
from evomerge.analysis.estimators._shared.sources import SHARE, SOURCES
from evomerge.analysis.estimators._shared.spec import EstimatorSpec


def estimate(answers: Answers, rows: Indices, options: Mapping[str, Any]) -> Estimates:
    """The mean, plus a slope times how much easier all items are than the asked ones.

    An item's difficulty is its mean over the sources. The slope is pooled over these, each against the difficulty by
    the others, so that it does not depend on which items were asked and the estimate is unbiased. With one source it is
    pooled over all rows that answered less; without any the estimate is the plain mean.
    """
    predicted = np.zeros((len(rows), answers.values.shape[1]))
    for group in answers.groups(rows, answers.sources(options["share"], options["sources"])):
        predicted[group.places] = predictions(answers, group)
    residuals = answers.values[rows] - predicted
    value = predicted.mean(axis=1) + expanded_mean(answers, rows, residuals, options["weights"])
    return assembled(answers, rows, value, residuals, options["weights"])


ESTIMATOR = EstimatorSpec(
    name="control_variate",
    title="Mean with the items' difficulty as control variate, the slope pooled over other candidates (Cochran 1977)",
    estimate=estimate,
    options={"weights": WEIGHTS, "share": SHARE, "sources": SOURCES},
)
