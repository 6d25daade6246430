"""p-values from intervals, and their correction for many comparisons."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from evomerge.analysis.intervals import Interval

__all__ = ["holm", "one_sided_p_value", "p_value"]

_BISECTIONS = 24


def p_value(interval_at: Callable[[float], Interval], null: float = 0.0) -> float | None:
    """Two-sided p-value of the hypothesis that an estimate is a given number.

    It is one minus the confidence at which the estimate's interval reaches that number.

    Args:
        interval_at: The estimate with its interval, by confidence.
        null: The number.

    Returns:
        The p-value, never below 6e-8; None where the standard error is unknown.
    """
    if not math.isfinite(interval_at(0.95).se):
        return None
    low, high = 1e-12, 1.0 - 1e-12
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        at = interval_at(middle)
        if at.low > null or at.high < null:
            low = middle
        else:
            high = middle
    return 1.0 - low


def one_sided_p_value(interval_at: Callable[[float], Interval], limit: float) -> float | None:
    """p-value of the hypothesis that an estimate does not lie above a limit; small values say that it does.

    One minus it is the p-value of the hypothesis that it does not lie below.

    Args:
        interval_at: The estimate with its interval, by confidence.
        limit: The limit.

    Returns:
        Half the two-sided p-value where the estimate lies above the limit, else one minus that; None where the standard
        error is unknown.
    """
    both = p_value(interval_at, limit)
    if both is None:
        return None
    return both / 2.0 if interval_at(0.95).mean > limit else 1.0 - both / 2.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusts p-values for their number (Holm 1979, Scandinavian Journal of Statistics 6:65).

    Args:
        p_values: One p-value per comparison.

    Returns:
        The adjusted p-values in the same order; comparisons below a level keep its familywise error rate.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = running
    return adjusted
