"""Intervals for what a search returns, which was chosen by its scores: arrays in, numbers out.

A finalist's own interval on fresh items says how good that model is. The two files here say what survives a choice that
was made by the very items at hand:

- :mod:`~evomerge.analysis.procedure.repeated_splits`: the expected score, on fresh items, of what the procedure
  "choose from this shortlist by so many items" returns. The choice is repeated over random halves of the items and
  scored on the other halves.
- :mod:`~evomerge.analysis.procedure.e_values`: an interval for one model that keeps its coverage however it was chosen
  among those that were compared.

Both take the shortlist's answers to items that had no part in making it: those of the selection split.
"""

from evomerge.analysis.procedure.e_values import e_interval, log_e_value, selected_interval
from evomerge.analysis.procedure.repeated_splits import RepeatedSplits, repeated_splits, simultaneous_quantile

__all__ = [
    "RepeatedSplits",
    "e_interval",
    "log_e_value",
    "repeated_splits",
    "selected_interval",
    "simultaneous_quantile",
]
