"""Values of metrics: as stores can keep them, and as scores can use them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """A metric's value as JSON can keep it: a number, or a list where the metric keeps a pair.

    Args:
        value: From a task's judgement of one item.
    """
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool | int):
        return float(value)
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_inner(entry) for entry in value]
    return value


def _inner(value: Any) -> Any:
    # Inside a pair whole numbers stay whole: they are indices and counts.
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, bool | int) else plain(value)


def total(function: Callable[[list[Any]], Any], column: list[Any]) -> float:
    """Aggregates a metric over items.

    Args:
        function: The task's aggregation.
        column: Values of the metric, one per item.

    Returns:
        The score; NaN if it is not a finite number.
    """
    try:
        score = float(function(column))
    except OverflowError:  # the perplexity of a hopeless model
        return math.nan
    return score if math.isfinite(score) else math.nan
