"""Random samples of items with known inclusion probabilities.

All functions take a generator and give rows of the population in random order, so that the first ``k`` of a sample are
a simple random part of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["apportion", "bins", "inclusion_probabilities", "simple", "systematic"]

Rows = NDArray[np.int_]
Vector = NDArray[np.float64]


def simple(random: np.random.Generator, rows: Rows, size: int) -> Rows:
    """A simple random sample without replacement, ``(size,)``; each row has the probability ``size / len(rows)``."""
    return rows[random.permutation(len(rows))[:size]]


def inclusion_probabilities(weights: Vector, size: int) -> Vector:
    """Probabilities proportional to weights that add up to a sample's size, none above 1.

    What would exceed 1 is taken for certain, and the rest is shared by the others (Särndal, Swensson & Wretman 1992,
    section 3.6.1).

    Args:
        weights: Positive, ``(n,)``.
        size: Size of the sample, at most ``n``.

    Returns:
        Probabilities ``(n,)``.

    Raises:
        ValueError: if a weight is not positive, or there are too few rows.
    """
    if size > len(weights) or (len(weights) and not (weights > 0.0).all()):
        raise ValueError(f"expected at least {size} positive weights, got {weights.tolist()}")
    probabilities = np.ones(len(weights))
    open_rows = np.arange(len(weights))
    left = size
    while len(open_rows):
        share = left * weights[open_rows] / weights[open_rows].sum()
        if (share < 1.0).all():
            probabilities[open_rows] = share
            break
        left -= int((share >= 1.0).sum())
        open_rows = open_rows[share < 1.0]
    return probabilities


def systematic(random: np.random.Generator, probabilities: Vector, order: Rows | None = None) -> Rows:
    """A sample of fixed size with exactly these inclusion probabilities (Madow 1949, doi:10.1214/aoms/1177729988).

    Rows are laid end to end, each as long as its probability, and those that hold one of the points u, u + 1, ... are
    taken; u is uniform. Laid by a feature, such as difficulty, the sample is stratified by it.

    Args:
        random: The generator.
        probabilities: Adding up to the size of the sample, ``(n,)``.
        order: How rows are laid; None for a random order.

    Returns:
        Rows in random order.
    """
    laid = random.permutation(len(probabilities)) if order is None else order
    ends = np.cumsum(probabilities[laid])
    size = round(float(ends[-1])) if len(ends) else 0
    points = random.random() + np.arange(size)
    # The last end is the size but for rounding, and the last point lies below it.
    taken = np.minimum(np.searchsorted(ends, points, side="right"), len(laid) - 1)
    return random.permutation(laid[np.unique(taken)])


def apportion(shares: Vector, size: int, most: Rows) -> Rows:
    """Whole numbers near shares of a size: the largest remainders are rounded up (Hamilton's method).

    Args:
        shares: Not negative, of any sum above 0, ``(k,)``.
        size: What the numbers add up to; at most the sum of ``most``.
        most: Largest number of each, ``(k,)``.

    Returns:
        Numbers ``(k,)``; each is 1 or more where its largest number is and the size is at least ``k``.
    """
    least = np.minimum(most, 1) if size >= np.count_nonzero(most) else np.zeros_like(most)
    wanted = size * shares / shares.sum() if shares.sum() > 0 else np.full(len(shares), size / len(shares))
    numbers = np.clip(np.floor(wanted).astype(int), least, most)
    while (missing := size - int(numbers.sum())) != 0:
        step = 1 if missing > 0 else -1
        free = numbers < most if missing > 0 else numbers > least
        gap = np.where(free, step * (wanted - numbers), -np.inf)
        numbers[int(gap.argmax())] += step
    return numbers


def bins(values: Vector, count: int) -> Rows:
    """Numbers of equally large groups of rows by value, ``(n,)``; rows of equal value stay together."""
    ranks = np.searchsorted(np.sort(values), values, side="left")
    return np.asarray(ranks * count // max(len(values), 1), dtype=int)
