"""Exact summation, which gives the same for any order."""

from __future__ import annotations

import math
from collections.abc import Sequence


def exact_sum(terms: Sequence[float]) -> float:
    """The sum of all terms, rounded once."""
    # The exact sum refuses what is not finite; any order then gives the same.
    return math.fsum(terms) if all(map(math.isfinite, terms)) else sum(terms)
