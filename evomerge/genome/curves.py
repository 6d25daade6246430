"""Curves over depth as matrices: values at m layers = ``W @ controls`` with k control values.

Every row of every ``W`` is non-negative and adds up to 1. A curve therefore never leaves the range of its control
values (bounds and proportions hold without clamping), equal controls give a constant curve, and as the columns are
linearly independent, different controls give different curves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["constant", "cosine", "free", "points"]


def constant(layers: int) -> NDArray[np.float64]:
    """One value for all layers, ``(layers, 1)``."""
    return np.ones((layers, 1))


def free(layers: int) -> NDArray[np.float64]:
    """A value of its own for each layer, ``(layers, layers)``."""
    return np.eye(layers)


def _depths(layers: int) -> NDArray[np.float64]:
    return np.linspace(0.0, 1.0, layers) if layers > 1 else np.zeros(1)


def points(layers: int, controls: int) -> NDArray[np.float64]:
    """Straight lines between control values at equal distances of depth.

    Two controls make one line, from the first layer to the last.

    Args:
        layers: Number of layers on the curve.
        controls: Number of control values; more than there are layers are not used.

    Returns:
        ``(layers, min(controls, layers))``.
    """
    used = min(controls, layers)
    if used == layers:
        return free(layers)
    position = _depths(layers) * (used - 1)
    left = np.minimum(position.astype(int), used - 2)
    matrix = np.zeros((layers, used))
    rows = np.arange(layers)
    matrix[rows, left] = 1.0 - (position - left)
    matrix[rows, left + 1] = position - left
    return matrix


def cosine(layers: int, controls: int) -> NDArray[np.float64]:
    """Cosine series over depth with as many terms as control values.

    Control ``j`` pulls the curve near depth ``(j + 1/2) / k``. The terms carry the weights ``1 - m / k`` of Fejér 1904
    (doi:10.1007/BF01447779), which turn each control's share into a square of a cosine sum: smooth, and never negative.

    Args:
        layers: Number of layers on the curve.
        controls: Number of control values; more than there are layers are not used.

    Returns:
        ``(layers, min(controls, layers))``.
    """
    used = min(controls, layers)
    order = np.arange(used)
    weight = np.where(order == 0, 1.0, 2.0) * (1.0 - order / used) / used
    nodes = np.cos(np.pi * np.outer((np.arange(used) + 0.5) / used, order))
    matrix = (np.cos(np.pi * np.outer(_depths(layers), order)) * weight) @ nodes.T
    # A share is zero at the other controls' nodes; there rounding alone could make it negative.
    matrix = np.maximum(matrix, 0.0)
    return matrix / matrix.sum(axis=1, keepdims=True)
