"""Ridge regression from genomes to scores, with what it says of a row when it has not seen its score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evomerge.analysis.estimators._shared.answers import Answers, Array, Indices
from evomerge.analysis.estimators._shared.estimates import Estimates
from evomerge.analysis.estimators._shared.features import features
from evomerge.options import Option

__all__ = ["BASE", "Surrogate", "base_scores", "predicted", "typical_variance"]

FEWEST_ROWS = 5
PENALTIES = np.geomspace(1e-3, 1e3, 19)
TRIED = np.linspace(0.0, 1.5, 61)[1:]  # standard deviations of the surrogate's own error, in units of all errors


BASE = {
    "scores": Option(
        "aipw",
        ("aipw", "control_variate", "low_rank", "mean", "stratified"),
        str,
        "estimator of the scores that are learnt from, with its defaults",
    )
}


def base_scores(answers: Answers, options: Mapping[str, Any]) -> Estimates:
    """Estimates of all rows by the estimator that the option ``scores`` names."""
    from evomerge.analysis.estimators import estimate  # the registry, whose plugins import this file

    return estimate(options["scores"], answers)


@dataclass(frozen=True)
class Surrogate:
    """Predictions of rows from genomes alone.

    Attributes:
        value: ``(rows,)``; NaN where there is no genome, or too few rows to learn from.
        contributions: The error of sampling that predictions take over from the scores they were learnt from,
            ``(rows, clusters)``: rows that were asked the same items err alike, and a regression does not average that.
        model: Variance of their other errors, ``(rows,)``; infinite where there is no value.
    """

    value: Array
    contributions: Array
    model: Array


def predicted(answers: Answers, scores: Estimates, rows: Indices) -> Surrogate:
    """Predictions of rows by ridge regression on the other rows' estimated scores.

    Features are genes and their squares; rows are weighted by how many answers their scores rest on (no more than four
    times the median); the penalty is the one with the least squared error of leaving one row out. The variance
    of a prediction is the mean square of the jackknife+ points around it (Barber et al. 2021, doi:10.1214/20-AOS1965),
    the errors of leaving one out being cleared of those of the scores (`excess_variance`), and grows with the leverage
    of the genome.

    Args:
        answers: The table, with genomes.
        scores: Estimates of all its rows.
        rows: The rows wanted.
    """
    unknown = Surrogate(
        np.full(len(rows), np.nan), np.zeros((len(rows), scores.contributions.shape[1])), np.full(len(rows), np.inf)
    )
    if answers.genomes is None:
        return unknown
    genomes = np.asarray(answers.genomes, dtype=np.float64)
    usable = np.isfinite(scores.value) & np.isfinite(scores.se) & ~np.isnan(genomes).any(axis=1)
    learnt = np.flatnonzero(usable)
    if len(learnt) < FEWEST_ROWS:
        return unknown
    phi = features(genomes, genomes[learnt])
    design = np.concatenate([np.ones((len(phi), 1)), phi], axis=1)
    fit = _best(design[learnt], scores.value[learnt], _weights(typical_variance(scores)[learnt]))
    return _readout(fit, design[rows], scores.take(learnt), [_place(learnt, int(row)) for row in rows])


def typical_variance(scores: Estimates) -> Array:
    """Variances that scores have on average with as many answers as each rests on, ``(targets,)``.

    They are for weights. A score's own standard error would not do: that of answers of 0 and 1 is smallest at the ends,
    and weights that go with the scores bias whatever they are used for.
    """
    spread = scores.sampled / np.maximum(scores.counts, 1)
    known = np.isfinite(scores.se) & (spread > 0.0)
    level = float((scores.se[known] ** 2 / spread[known]).mean()) if known.any() else 0.0
    return np.where(np.isfinite(scores.se) & (scores.se > 0.0), level * spread, scores.se**2)


def excess_variance(squares: Array, noise: Array) -> float:
    """Variance that errors have beyond their known noise: its posterior mean, all standard deviations being alike.

    A difference of two mean squares is often negative for few rows, and a prediction is then taken for certain.

    Args:
        squares: Squared errors, ``(rows,)``, of normal errors with variance ``noise`` plus the one wanted.
        noise: Known variances, ``(rows,)``.
    """
    total = float(squares.mean())
    if total == 0.0:
        return 0.0
    own = TRIED**2 * total
    spread = own[:, None] + noise
    score = -0.5 * (np.log(spread) + squares / spread).sum(axis=1)
    chances = np.exp(score - score.max())
    return float((chances * own).sum() / chances.sum())


def _place(learnt: Indices, row: int) -> int | None:
    found = int(np.searchsorted(learnt, row))
    return found if found < len(learnt) and learnt[found] == row else None


@dataclass(frozen=True)
class _Fit:
    """A weighted ridge regression.

    Attributes:
        coefficients: ``(features,)``, the intercept first.
        inverse: Of the penalised Gram matrix.
        effect: Change of the coefficients with each score, ``(features, rows)``.
        smoother: Share of every score in every row's own prediction, ``(rows, rows)``.
        without: Changes of the coefficients when a row is left out, ``(rows, features)``.
        residuals: Errors of predicting each row without it, ``(rows,)``.
        leverage: Of each row, ``(rows,)``.
    """

    coefficients: Array
    inverse: Array
    effect: Array
    smoother: Array
    without: Array
    residuals: Array
    leverage: Array


def _weights(variance: Array) -> Array:
    """One over variances, bounded where these are far below the others, with mean 1."""
    variance = np.maximum(variance, max(0.25 * float(np.median(variance)), 1e-12))
    return variance.mean() / variance / (variance.mean() / variance).mean()


def _best(design: Array, target: Array, weights: Array) -> _Fit:
    """The fit whose penalty predicts left-out rows best; the largest of equal ones."""
    fits = [_fit(design, target, weights, penalty) for penalty in PENALTIES[::-1]]
    errors = [float(np.average(fit.residuals**2, weights=weights)) for fit in fits]
    return fits[int(np.argmin(errors))]


def _fit(design: Array, target: Array, weights: Array, penalty: float) -> _Fit:
    free = np.append(1e-9, np.full(design.shape[1] - 1, penalty))
    inverse = np.linalg.inv((design.T * weights) @ design + np.diag(free))
    effect = inverse @ (design.T * weights)
    smoother = design @ effect
    coefficients = effect @ target
    leverage = np.clip(np.diagonal(smoother), 0.0, 1.0 - 1e-6)
    residuals = (target - design @ coefficients) / (1.0 - leverage)
    without = -(design * (weights * residuals)[:, None]) @ inverse
    return _Fit(coefficients, inverse, effect, smoother, without, residuals, leverage)


def _readout(fit: _Fit, design: Array, scores: Estimates, places: list[int | None]) -> Surrogate:
    """Predictions of rows; those that were learnt from are predicted without themselves.

    Args:
        fit: The regression.
        design: Features of the rows wanted.
        scores: The scores learnt from.
        places: Place of each row wanted among these, or None.
    """
    apart = fit.smoother - np.diag(np.diagonal(fit.smoother))
    shares = apart / (1.0 - fit.leverage)[:, None]
    carried = shares @ scores.contributions
    noise = ((scores.contributions - carried) ** 2).sum(axis=1)
    noise = noise + np.maximum(scores.se**2 - (scores.contributions**2).sum(axis=1), 0.0)
    value, contributions = np.full(len(design), np.nan), np.zeros((len(design), carried.shape[1]))
    model, typical = np.full(len(design), np.inf), float(fit.leverage.mean())
    for number, (row, place) in enumerate(zip(design, places, strict=True)):
        if np.isnan(row).any():
            continue
        value[number] = row @ fit.coefficients
        contributions[number] = row @ fit.effect @ scores.contributions
        others = np.ones(len(fit.residuals), dtype=bool)
        leverage = float(row @ fit.inverse @ row)
        if place is not None:
            value[number] += fit.without[place] @ row
            contributions[number] = carried[place]
            others[place] = False
            leverage = float(fit.leverage[place])
        moved = float(((fit.without[others] @ row) ** 2).mean())
        own = excess_variance(fit.residuals[others] ** 2, noise[others])
        model[number] = (own + moved) * (1.0 + max(leverage - typical, 0.0))
    return Surrogate(value, contributions, model)
