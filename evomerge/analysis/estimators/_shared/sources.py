"""Options on which rows others learn from."""

from __future__ import annotations

from evomerge.options import Option

__all__ = ["FOLDS", "SEED", "SHARE", "SOURCES"]

SHARE = Option(
    0.6, None, float, "share of the items that a row must have answered for others to learn from it", 0.0, 1.0
)
SOURCES = Option(40, None, int, "number of such rows to learn from, the latest ones", low=1)
FOLDS = Option(5, None, int, "parts that a row's answers are corrected in, each by a fit to the others", low=2)
SEED = Option(0, None, int, "decides which item is in which part", low=0)
