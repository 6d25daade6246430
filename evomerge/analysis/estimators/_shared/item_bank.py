"""Item banks of the tinyBenchmarks and MERGE3 estimators, fitted from the table's own complete rows.

Both projects download a bank that was fitted on leaderboard models; here the sources are the bank's models, so any task
has one. The model is theirs, ``P(1) = sigmoid(a . theta - b)``; theirs is fitted by variational inference (py-irt,
``multidim_2pl``), ours is the maximum a posteriori of :mod:`~evomerge.analysis.estimators._shared.latent`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evomerge.analysis.estimators._shared import latent
from evomerge.analysis.estimators._shared.answers import Array, Indices

__all__ = ["Bank", "fit_bank", "logistic_map", "threshold", "validated"]

DIMENSIONS = (1, 2, 4)
MUCH = 0.0025  # of validation error, above which more dimensions are worth it
PRIOR = 0.01
STEPS = 100
LONGEST_STEP = 4.0


@dataclass(frozen=True)
class Bank:
    """Fitted items.

    Attributes:
        discrimination: ``(items, dimensions)``.
        difficulty: ``(items,)``.
    """

    discrimination: Array
    difficulty: Array

    def curve(self, ability: Array) -> Array:
        """Chances of right answers, ``(rows, items)``, at abilities ``(rows, dimensions)``."""
        return latent.sigmoid(np.clip(ability @ self.discrimination.T - self.difficulty, -30.0, 30.0))

    def ability(self, responses: Array, seen: Indices) -> Array:
        """Abilities of rows, ``(rows, dimensions)``, from their answers to some items, ``(rows, seen)``."""
        inputs = self.discrimination[seen]
        return logistic_map(inputs, self.difficulty[seen], responses, np.zeros(inputs.shape[1]))


def fit_bank(responses: Array, dimensions: int) -> Bank:
    """A bank from answers of 0 and 1, ``(rows, items)``, NaN where there is none."""
    fitted = latent.fit(responses, dimensions)
    return Bank(fitted.discrimination, fitted.difficulty)


def threshold(values: Array) -> float:
    """The value above which an answer counts as right, as tinyBenchmarks chooses it.

    Of a thousand between 0.01 and 0.99, the first whose shares of right answers are nearest to the rows' means.

    Args:
        values: Answers between 0 and 1, ``(rows, items)``, NaN where there is none.
    """
    asked = ~np.isnan(values)
    count = np.maximum(asked.sum(axis=1), 1)
    mean = np.where(asked, values, 0.0).sum(axis=1) / count
    tried = np.linspace(0.01, 0.99, 1000)
    away = [np.abs((np.where(asked, values, 0.0) > c).sum(axis=1) / count - mean).mean() for c in tried]
    return float(tried[int(np.argmin(away))])


def validated(responses: Array, values: Array, tried: tuple[int, ...] = DIMENSIONS) -> tuple[int, float]:
    """The number of dimensions by tinyBenchmarks' rule, and its mean absolute error.

    Every fifth row is held out, its abilities are fitted from every second item, and the predicted mean over the other
    items is compared with the true one. The first number whose error is within 0.0025 of the least is taken.

    Args:
        responses: Answers of 0 and 1, ``(rows, items)``; three rows or more.
        values: The same before they were made 0 and 1.
        tried: Numbers of dimensions, rising.
    """
    items = responses.shape[1]
    held = np.arange(0, len(responses), 5)
    train = np.setdiff1d(np.arange(len(responses)), held)
    errors = [_error(fit_bank(responses[train], count), responses[held], values[held]) for count in tried]
    best = int(np.argmax(np.array(errors) - min(errors) < MUCH)) if items > 1 else 0
    return tried[best], errors[best]


def _error(bank: Bank, responses: Array, values: Array) -> float:
    errors = []
    for row, true in zip(responses, values, strict=True):
        asked = np.flatnonzero(~np.isnan(row))
        seen, unseen = asked[::2], asked[1::2]
        if len(unseen):
            curve = bank.curve(bank.ability(row[None, seen], seen))[0]
            errors.append(abs(float(curve[unseen].mean() - true[unseen].mean())))
    return float(np.mean(errors)) if errors else 0.0


def logistic_map(inputs: Array, offset: Array, responses: Array, mean: Array, precision: float = PRIOR) -> Array:
    """Coefficients of logistic regressions, one for each row, by Newton's method with halved steps.

    The publications maximise the likelihood alone, by BFGS, which has no maximum where all answers are right or none
    is. The weak normal prior gives it one and changes little otherwise.

    Args:
        inputs: ``(n, coefficients)``.
        offset: Subtracted from the linear part, ``(n,)``.
        responses: ``(rows, n)``, between 0 and 1.
        mean: Of the prior, ``(coefficients,)``.
        precision: Of the prior.

    Returns:
        ``(rows, coefficients)``.
    """
    rows, size = len(responses), inputs.shape[1]
    found = np.repeat(mean[None, :], rows, axis=0)
    products = (inputs[:, :, None] * inputs[:, None, :]).reshape(len(inputs), -1)

    def loss(x: Array) -> Array:
        linear = x @ inputs.T - offset
        fitted = (np.logaddexp(0.0, linear) - responses * linear).sum(axis=1)
        return fitted + 0.5 * precision * ((x - mean) ** 2).sum(axis=1)

    now = loss(found)
    for _ in range(STEPS):
        chance = latent.sigmoid(found @ inputs.T - offset)
        gradient = (responses - chance) @ inputs - precision * (found - mean)
        curvature = ((chance * (1.0 - chance)) @ products).reshape(rows, size, size) + precision * np.eye(size)
        step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
        length = np.linalg.norm(step, axis=1)
        step *= np.minimum(1.0, LONGEST_STEP / np.maximum(length, 1e-12))[:, None]
        for _ in range(30):
            worse = loss(found + step) > now + 1e-12 * np.abs(now)
            if not worse.any():
                break
            step[worse] *= 0.5
        found = found + step
        now = loss(found)
        if length.max(initial=0.0) < 1e-7:
            break
    return found
