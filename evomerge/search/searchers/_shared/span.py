"""Weighted sums of the models of a search, and spherical interpolation between two of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evomerge.recipe import Recipe

__all__ = ["ModelSpan", "angle", "slerped"]

_DIGITS = 9  # of an angle that count: the last ones depend on the processor
_PARALLEL = 1e-6  # sine of an angle below which the way is straight


@dataclass(frozen=True, eq=False)
class ModelSpan:
    """The weighted sums of some models, whose parts may have weights of their own.

    Attributes:
        sizes: Number of parameters of each part, in the order in which parts follow each other in the model,
            ``(parts,)``.
        products: Gives the inner products of the models in each part, ``(parts, models, models)``. Every weight is read
            at the first call.
        make: Makes the recipe of weights ``(parts, models)``; models need not get a weight, and weights need not add up
            to 1.
    """

    sizes: NDArray[np.float64]
    products: Callable[[], NDArray[np.float64]]
    make: Callable[[NDArray[np.float64]], Recipe]


def angle(first: NDArray[np.float64], second: NDArray[np.float64], products: NDArray[np.float64]) -> float:
    """The angle between two weighted sums of models, each all of its parts in one vector, in radians.

    Args:
        first: Weights, ``(parts, models)``.
        second: The other's.
        products: Inner products of the models in each part, ``(parts, models, models)``.

    Returns:
        The angle, rounded; 0 where one of them has no length.
    """
    inner, own, other = (
        float(np.einsum("pi,pij,pj->", a, products, b)) for a, b in ((first, second), (first, first), (second, second))
    )
    lengths = math.sqrt(max(own, 0.0) * max(other, 0.0))
    return round(math.acos(min(max(inner / lengths, -1.0), 1.0)), _DIGITS) if lengths > 0.0 else 0.0


def slerped(
    first: NDArray[np.float64], second: NDArray[np.float64], share: NDArray[np.float64], angle: float
) -> NDArray[np.float64]:
    """The weights of a point between two weighted sums of models, by spherical interpolation (Shoemake 1985).

    Args:
        first: Weights, ``(parts, models)``.
        second: The other's.
        share: How far each part goes from the first, 0, to the second, 1, ``(parts,)``.
        angle: Between both, in radians.

    Returns:
        ``(parts, models)``. A straight line where the sine of the angle is 1e-6 or less.
    """
    sine = math.sin(angle)
    if sine > _PARALLEL:
        near, far = np.sin((1.0 - share) * angle) / sine, np.sin(share * angle) / sine
    else:
        near, far = 1.0 - share, share
    found: NDArray[np.float64] = np.round(near[:, None] * first + far[:, None] * second, 12)
    return found
