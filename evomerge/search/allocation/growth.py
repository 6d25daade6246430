"""How many items a batch is asked, as candidates get more alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["grown"]

SHARE = 0.5  # of the spread of candidates that a standard error may be: ranks then agree with tau of about 0.7
STEP = 2.0  # by which a window grows at most from one batch to the next


def grown(values: NDArray[np.float64], start: int, last: int, pool: int) -> int:
    """Items of the next window: so many that a standard error is at most half of the spread of true scores.

    The spread shrinks as a population converges, and ranks get lost in noise unless items grow with its inverse square.
    Both are read off the last window, where errors are those of paired comparisons: what is left of an answer beside
    the means of its candidate and its item.

    Args:
        values: The last batch's answers to the items of a task, ``(candidates, items)``; candidates with gaps are not
            looked at.
        start: Items of the first window, and the fewest.
        last: Items of the last window.
        pool: Items of the pool, and the most.

    Returns:
        The number of items; never fewer than in the last window.
    """
    whole = values[np.isfinite(values).all(axis=1)]
    least = min(max(start, last), pool)
    n, items = whole.shape
    if n < 3 or items < 2:
        return least
    residuals = whole - whole.mean(axis=1, keepdims=True) - whole.mean(axis=0) + whole.mean()
    noise = float((residuals**2).sum()) / ((n - 1) * (items - 1))
    spread = max(float(whole.mean(axis=1).var(ddof=1)) - noise / items, 0.0)
    if noise <= 0.0:
        return least
    wanted = noise / (SHARE**2 * spread) if spread > 0.0 else np.inf
    return int(min(max(np.ceil(min(wanted, STEP * least)), least), pool))
