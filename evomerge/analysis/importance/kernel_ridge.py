"""Kernel ridge regression with a squared-exponential kernel, its two settings chosen by leaving single points out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_SCALES = (0.5, 1.0, 2.0, 4.0)  # length scales, in root mean squares of the distance of two points in one input
_PENALTIES = tuple(10.0**power for power in (-2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0))


@dataclass(frozen=True)
class Smoothness:
    """The settings of a fit.

    Attributes:
        scale: Length scale of the kernel.
        penalty: Weight of the squared norm of what is fitted.
    """

    scale: float
    penalty: float


class Grid:
    """Fits with every setting of a small grid to the same points, whatever their outputs are.

    Args:
        inputs: ``(n, features)``, each feature of variance 1.
    """

    def __init__(self, inputs: Array) -> None:
        away = _distances(inputs, inputs)
        self._kernels = [(scale, *np.linalg.eigh(np.exp(-0.5 * away / scale**2))) for scale in _SCALES]

    def chosen(self, outputs: Array) -> Smoothness:
        """The settings with the least squared error of each point by a fit to all others.

        Args:
            outputs: ``(n,)``.
        """
        moved = outputs - outputs.mean()
        found: list[tuple[float, Smoothness]] = []
        for scale, values, vectors in self._kernels:
            turned, squares = vectors.T @ moved, vectors**2
            for penalty in _PENALTIES:
                weights = 1.0 / (np.maximum(values, 0.0) + penalty)
                # The error of a point left out is its weight over the inverse's diagonal (Allen 1974, PRESS).
                errors = (vectors @ (weights * turned)) / (squares @ weights)
                found.append((float(errors @ errors), Smoothness(scale, penalty)))
        return min(found, key=lambda entry: entry[0])[1]


class Fit:
    """A fit to points, which predicts others.

    Args:
        inputs: ``(n, features)``.
        outputs: ``(n,)``.
        smoothness: The settings.
    """

    def __init__(self, inputs: Array, outputs: Array, smoothness: Smoothness) -> None:
        self._inputs, self._scale = inputs, smoothness.scale
        self._level = float(outputs.mean())
        kernel = np.exp(-0.5 * _distances(inputs, inputs) / smoothness.scale**2)
        self._weights = np.linalg.solve(kernel + smoothness.penalty * np.eye(len(inputs)), outputs - self._level)

    def predict(self, inputs: Array) -> Array:
        """Predictions at points, ``(m, features)`` to ``(m,)``."""
        kernel = np.exp(-0.5 * _distances(inputs, self._inputs) / self._scale**2)
        return np.asarray(self._level + kernel @ self._weights, dtype=np.float64)


def _distances(first: Array, second: Array) -> Array:
    """Squared distances, per feature, ``(n, m)``."""
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)[None] - 2.0 * first @ second.T
    return np.asarray(np.maximum(squares, 0.0) / max(first.shape[1], 1), dtype=np.float64)
