"""Fusion of two layers of one model: how much of each, from how alike all layers are."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from evomerge.errors import InputError

__all__ = ["fusion_ratio"]


def fusion_ratio(similarities: ArrayLike, pair: tuple[int, int], beta: float = 1.0) -> float:
    """Share of the first of two layers in their fusion (MKA, Liu et al. 2024, https://arxiv.org/abs/2406.16330).

    It is ``sigmoid(beta * a / (a + b))``, where ``a`` and ``b`` are the mean similarities of both layers to all layers.
    Since these are positive, the first layer has more than half with a positive ``beta``: 0.5 to 0.73 with the paper's
    1. The recipe is a weighted average of :func:`evomerge.recipe.fused_layers` with this weight and the rest.

    Args:
        similarities: How alike layers are, ``(layers, layers)``; the paper's are normalised mutual information of
            hidden states, embedded by diffusion maps.
        pair: Numbers of the two layers.
        beta: Steepness of the sigmoid.

    Raises:
        InputError: If similarities are no square matrix of finite numbers, have no such layers, or no positive sum.
    """
    values = np.asarray(similarities, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] != values.shape[1] or not np.isfinite(values).all():
        came = f"got shape {list(values.shape)}"
        raise InputError(f"similarities: expected a square matrix of finite numbers, one row per layer, {came}")
    if not all(0 <= layer < len(values) for layer in pair):
        raise InputError(f"pair: expected two of the layers 0 to {len(values) - 1}, got {list(pair)}")
    first, second = (float(values[layer].mean()) for layer in pair)
    if not first + second > 0:
        came = f"got {first + second:g}"
        raise InputError(f"similarities: expected layers {pair[0]} and {pair[1]} to have a positive sum, {came}")
    return 1.0 / (1.0 + math.exp(-beta * first / (first + second)))
