"""A row's score predicted from its genome, by the scores of the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evomerge.analysis.estimators._shared.answers import Answers, Indices
from evomerge.analysis.estimators._shared.estimates import Estimates
from evomerge.analysis.estimators._shared.spec import EstimatorSpec
from evomerge.analysis.estimators._shared.surrogate import BASE, base_scores, predicted


def estimate(answers: Answers, rows: Indices, options: Mapping[str, Any]) -> Estimates:
    """Ridge regression from genes and their squares to estimated scores (`predicted`).

    A row's own answers are not used, so the prediction can be combined with them. Rows without a genome, and all where
    fewer than five others have a score, are unknown.
    """
    scores = base_scores(answers, options)
    found = predicted(answers, scores, rows)
    se = np.sqrt((found.contributions**2).sum(axis=1) + found.model)
    asked = np.tile(scores.asked.any(axis=0), (len(rows), 1))
    sampled = np.ones(len(rows))
    return Estimates(found.value, se, found.contributions, asked, sampled, found.model, scores.scale, scores.binary)


ESTIMATOR = EstimatorSpec(
    name="surrogate",
    title="Ridge regression from genes and their squares to the scores of other candidates (ours)",
    estimate=estimate,
    options=BASE,
    genomes=True,
    predicts=True,
    exact=False,
)
