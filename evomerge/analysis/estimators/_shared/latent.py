"""Low-rank models of a table of answers: ability of rows, discrimination and difficulty of items.

Answers of 0 and 1 follow the multidimensional two-parameter logistic model, ``P(1) = sigmoid(a . theta - b)``; other
values, which are given with mean 0 and variance 1, ``a . theta - b`` plus normal noise of a variance per item. Rows may
have features from which their abilities are expected, ``theta ~ N(W phi, s**2)``; without features ``theta ~ N(0, 1)``.

The fit is the maximum a posteriori by alternating Newton steps over items and rows. Priors on items keep it finite
where all rows or none answer an item right: discriminations have variance 1 around 1 in the first dimension and around
0 in the others, difficulties variance 4 around 0. A mean of theirs that is fitted too would have no maximum, as
abilities can shrink while it grows. No generator is involved.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from evomerge.analysis.estimators._shared.answers import Array, Mask, filled

__all__ = ["Latent", "fit", "sigmoid"]

ITERATIONS = 60
REFIT = 8
LONGEST_STEP = 1.0
CLOSE = 1e-3
DIFFICULTY_VARIANCE = 4.0
LEAST_NOISE = 1e-3  # of the variance of all answers: of a normal item's noise, and of s**2 against that of abilities
RIDGE = 1.0


@dataclass(frozen=True)
class Latent:
    """A fitted model.

    Attributes:
        ability: ``(rows, dimensions)``.
        spread: Posterior variance of each ability, ``(rows, dimensions)``.
        discrimination: ``(items, dimensions)``.
        difficulty: ``(items,)``.
        noise: Variance of an item's answers around the model, ``(items,)``; None for answers of 0 and 1.
        loadings: W, ``(features, dimensions)``; without rows if there are no features.
        residual: s**2, the variance of abilities around what features say; 1 without features.
    """

    ability: Array
    spread: Array
    discrimination: Array
    difficulty: Array
    noise: Array | None
    loadings: Array
    residual: float

    def predicted(self, ability: Array | None = None) -> Array:
        """Expected answers of rows of given abilities, by default of its own, ``(rows, items)``."""
        known = self.ability if ability is None else ability
        linear = known @ self.discrimination.T - self.difficulty
        return sigmoid(linear) if self.noise is None else linear


def sigmoid(x: Array) -> Array:
    """The logistic function, without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def fit(
    values: Array, dimensions: int, features: Array | None = None, binary: bool = True, start: Latent | None = None
) -> Latent:
    """Fits the model.

    Args:
        values: ``(rows, items)``, NaN where there is no answer.
        dimensions: Number of abilities per row.
        features: ``(rows, features)``; rows of NaN for models that have none. None if no row has any.
        binary: Whether the answers are 0 and 1.
        start: A fit to nearly the same table, to go on from in fewer steps.
    """
    asked = ~np.isnan(values)
    held = np.where(asked, values, 0.0)
    phi = np.zeros((len(values), 0)) if features is None else features
    has: Mask = np.asarray(~np.isnan(phi).any(axis=1) & (features is not None))
    phi = np.where(has[:, None], phi, 0.0)
    model = start or _start(values, dimensions, phi.shape[1], binary)
    for _ in range(REFIT if start else ITERATIONS):
        before = model.ability
        model = _items_step(model, held, asked)
        model = _rows_step(model, held, asked, phi @ model.loadings, has)
        if has.any():
            model = _features_step(model, phi, has)
        if np.abs(model.ability - before).max() < CLOSE:
            break
    return model


def _start(values: Array, dimensions: int, features: int, binary: bool) -> Latent:
    """Abilities from the leading directions of the table, with a positive mean discrimination."""
    whole = filled(values)
    level = whole.mean(axis=0)
    left, size, right = np.linalg.svd(whole - level, full_matrices=False)
    known = min(dimensions, len(size))
    scores = np.zeros((len(values), dimensions))
    scores[:, :known] = left[:, :known] * size[:known] * np.where(right[:known].sum(axis=1) < 0, -1.0, 1.0)
    spread = scores.std(axis=0)
    ability = scores / np.where(spread > 0.0, spread, 1.0)
    slope = np.zeros((values.shape[1], dimensions))
    slope[:, 0] = 1.0
    clipped = np.clip(level, 0.02, 0.98)
    difficulty = -np.log(clipped / (1.0 - clipped)) if binary else -level
    noise = None if binary else np.full(values.shape[1], max(float(whole.var()), 1e-12))
    return Latent(ability, np.ones_like(ability), slope, difficulty, noise, np.zeros((features, dimensions)), 1.0)


def _items_step(model: Latent, held: Array, asked: Mask) -> Latent:
    """A Newton step for every item, abilities being given."""
    rows, dimensions = model.ability.shape
    inputs = np.concatenate([model.ability, -np.ones((rows, 1))], axis=1)
    parameters = np.concatenate([model.discrimination, model.difficulty[:, None]], axis=1)
    precision = np.append(np.ones(dimensions), 1.0 / DIFFICULTY_VARIANCE)
    mean = np.append(np.eye(dimensions)[0], 0.0)
    error, curvature = _pull(model, held, asked)
    gradient = error.T @ inputs - precision * (parameters - mean)
    products = (inputs[:, :, None] * inputs[:, None, :]).reshape(rows, -1)
    hessian = (curvature.T @ products).reshape(-1, dimensions + 1, dimensions + 1) + np.diag(precision + 1e-9)
    parameters = parameters + _step(hessian, gradient, model.noise is None)
    found = replace(model, discrimination=parameters[:, :-1], difficulty=parameters[:, -1])
    if model.noise is None:
        return found
    square = (np.where(asked, held - found.predicted(), 0.0) ** 2).sum(axis=0)
    overall = square.sum() / max(asked.sum(), 1)
    variance = float(np.var(held[asked]))
    noise = (square + 2.0 * overall) / (asked.sum(axis=0) + 2.0)
    return replace(found, noise=np.maximum(noise, max(LEAST_NOISE * variance, 1e-12)))


def _rows_step(model: Latent, held: Array, asked: Mask, expected: Array, has: Mask) -> Latent:
    """A Newton step for every row, items being given."""
    dimensions = model.ability.shape[1]
    precision = np.where(has, 1.0 / model.residual, 1.0)
    error, curvature = _pull(model, held, asked)
    gradient = error @ model.discrimination - precision[:, None] * (model.ability - np.where(has[:, None], expected, 0))
    items = model.discrimination
    products = (items[:, :, None] * items[:, None, :]).reshape(len(items), -1)
    hessian = (curvature @ products).reshape(-1, dimensions, dimensions) + precision[:, None, None] * np.eye(dimensions)
    ability = model.ability + _step(hessian, gradient, model.noise is None)
    spread = np.diagonal(np.linalg.inv(hessian), axis1=1, axis2=2)
    return replace(model, ability=ability, spread=spread)


def _features_step(model: Latent, phi: Array, has: Mask) -> Latent:
    """Loadings of the features by ridge regression, and the variance that they leave."""
    known, ability = phi[has], model.ability[has]
    gram = known.T @ known + RIDGE * np.eye(phi.shape[1])
    loadings = np.linalg.solve(gram, known.T @ ability)
    left = ((ability - known @ loadings) ** 2 + model.spread[has]).mean()
    return replace(model, loadings=loadings, residual=float(np.clip(left, LEAST_NOISE, 1.0)))


def _pull(model: Latent, held: Array, asked: Mask) -> tuple[Array, Array]:
    """First and minus second derivative of the log-likelihood by ``a . theta - b``, ``(rows, items)`` each."""
    predicted = model.predicted()
    if model.noise is None:
        return np.where(asked, held - predicted, 0.0), np.where(asked, predicted * (1.0 - predicted), 0.0)
    return np.where(asked, (held - predicted) / model.noise, 0.0), asked / model.noise


def _step(hessian: Array, gradient: Array, bounded: bool) -> Array:
    """Newton steps; those of logistic models are no longer than 1, which keeps them from overshooting."""
    step = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
    if not bounded:
        return step
    length = np.linalg.norm(step, axis=1, keepdims=True)
    return step * np.minimum(1.0, LONGEST_STEP / np.maximum(length, 1e-12))
