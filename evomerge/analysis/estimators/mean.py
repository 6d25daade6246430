"""The mean of the answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evomerge.analysis.estimators._shared.answers import Answers, Indices
from evomerge.analysis.estimators._shared.design import WEIGHTS, assembled, expanded_mean
from evomerge.analysis.estimators._shared.estimates import Estimates
from evomerge.analysis.estimators._shared.spec import EstimatorSpec


def estimate(answers: Answers, rows: Indices, options: Mapping[str, Any]) -> Estimates:
    """The mean of each row's answers, weighted by one over the chance of being asked."""
    values = answers.values[rows]
    return assembled(
        answers, rows, expanded_mean(answers, rows, values, options["weights"]), values, options["weights"]
    )


ESTIMATOR = EstimatorSpec(
    name="mean",
    title="Mean of the answers, weighted by one over the chance of being asked (Horvitz & Thompson 1952; Hájek 1971)",
    estimate=estimate,
    options={"weights": WEIGHTS},
)
