"""A low-rank model of all answers, whose abilities are expected from the genome, corrected by its residuals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from evomerge.analysis.estimators._shared import latent
from evomerge.analysis.estimators._shared.answers import Answers, Array, Group, Indices, Mask
from evomerge.analysis.estimators._shared.design import assembled
from evomerge.analysis.estimators._shared.estimates import Estimates
from evomerge.analysis.estimators._shared.features import features
from evomerge.analysis.estimators._shared.ridge import Crossed, cross_fitted, folds
from evomerge.analysis.estimators._shared.sources import FOLDS, SEED
from evomerge.analysis.estimators._shared.spec import EstimatorSpec
from evomerge.options import Option

FEWEST_ANSWERS = 4


def estimate(answers: Answers, rows: Indices, options: Mapping[str, Any]) -> Estimates:
    """Predictions of the model of :mod:`~evomerge.analysis.estimators._shared.latent`, cross-fitted as in `aipw`.

    This estimator is ours: ``logit P = a . (W phi(x) + e) - b`` with ``e ~ N(0, s**2)`` contains p-IRT (no features),
    mp-IRT (abilities linear in those of the experts) and a surrogate of the genome, and a misfit of it costs variance,
    not bias. Each part of the answers is left out of every incomplete row at once, and the model fitted without them.
    Rows that answered less than four items get the model's prediction, with its variance.
    """
    if answers.binary:
        return _estimates(answers, rows, options)
    known = answers.values[answers.asked]
    level, unit = float(known.mean()), float(known.std()) or 1.0
    found = _estimates(replace(answers, values=(answers.values - level) / unit), rows, options)
    return replace(
        found,
        value=found.value * unit + level,
        se=found.se * unit,
        contributions=found.contributions * unit,
        model=found.model * unit**2,
        scale=answers.scale,
    )


def _estimates(answers: Answers, rows: Indices, options: Mapping[str, Any]) -> Estimates:
    items = answers.values.shape[1]
    phi = features(answers.genomes) if answers.genomes is not None else None
    fitted = latent.fit(answers.values, options["dimensions"], phi, answers.binary)
    part_of = np.zeros(items, dtype=np.int64)
    for number, part in enumerate(folds(answers.cluster_index, options["folds"], options["seed"])):
        part_of[part] = number
    predictions = [
        _without(answers, fitted, part_of == number, options, phi) for number in range(int(part_of.max()) + 1)
    ]
    value, residuals = np.full(len(rows), np.nan), np.zeros((len(rows), items))
    for group in answers.groups(rows):
        if len(group.seen) == items:
            value[group.places] = answers.values[group.rows].mean(axis=1)
        elif len(group.seen) >= FEWEST_ANSWERS:
            crossed = _crossed(answers, group, predictions, part_of[group.seen])
            value[group.places] = crossed.value
            residuals[np.ix_(group.places, group.seen)] = crossed.residuals
    found = assembled(answers, rows, value, residuals)
    few = np.flatnonzero(answers.counts[rows] < min(FEWEST_ANSWERS, items))
    return _predicted(rows, found, fitted, few) if len(few) else found


def _crossed(answers: Answers, group: Group, predictions: Sequence[Array], part_of: Indices) -> Crossed:
    """Estimates of a group, each of its items corrected by the fit that left the item's part out."""
    parts = np.unique(part_of)
    return cross_fitted(
        group,
        answers.values[np.ix_(group.rows, group.seen)],
        answers.probabilities[np.ix_(group.rows, group.seen)],
        lambda number, _: predictions[parts[number]][group.rows],
        [np.flatnonzero(part_of == part) for part in parts],
    )


def _without(answers: Answers, fitted: latent.Latent, left_out: Mask, options: Mapping[str, Any], phi: Any) -> Array:
    """Predictions for every row and item by a fit without some items in incomplete rows."""
    values = answers.values.copy()
    incomplete = answers.counts < values.shape[1]
    values[np.ix_(incomplete, left_out)] = np.nan
    return latent.fit(values, options["dimensions"], phi, answers.binary, start=fitted).predicted()


def _predicted(rows: Indices, found: Estimates, fitted: latent.Latent, few: Indices) -> Estimates:
    """Estimates in which rows that answered too little have what the model says, and how unsure it is of abilities."""
    predicted = fitted.predicted()[rows[few]]
    slope = fitted.discrimination[None, :, :]
    if fitted.noise is None:
        slope = slope * (predicted * (1.0 - predicted))[:, :, None]
        item = predicted * (1.0 - predicted)
    else:
        item = np.broadcast_to(fitted.noise, predicted.shape)
    mean_slope = slope.mean(axis=1)
    unsure = (mean_slope**2 * fitted.spread[rows[few]]).sum(axis=1) + item.mean(axis=1) / predicted.shape[1]
    value, model, share = found.value.copy(), np.zeros(len(rows)), np.ones(len(rows))
    value[few], model[few], share[few] = predicted.mean(axis=1), unsure, 0.0
    contributions, se = found.contributions * share[:, None], found.se.copy()
    se[few] = np.sqrt(unsure)
    return replace(found, value=value, se=se, contributions=contributions, model=model)


ESTIMATOR = EstimatorSpec(
    name="low_rank",
    title="Low-rank item response model with abilities expected from the genome, cross-fitted and corrected (ours)",
    estimate=estimate,
    options={
        "dimensions": Option(1, None, int, "number of abilities of a candidate", low=1, high=8),
        "folds": FOLDS,
        "seed": SEED,
    },
    predicts=True,
)
