"""From what models answered on items to values with honest uncertainty. Arrays in, numbers out.

`mean_se` and `interval` describe one model on one task, `paired_difference` compares two models on the same items, and
`weighted_sum` combines tasks. Scores of 0 and 1 get score intervals (Wilson, Tango), which stay honest when all
answers agree; other values get Student's t.
"""

from evomerge.analysis.difference import paired_difference
from evomerge.analysis.intervals import Interval, interval, is_binary, mean_se, weighted_sum
from evomerge.analysis.student import student_quantile

__all__ = ["Interval", "interval", "is_binary", "mean_se", "paired_difference", "student_quantile", "weighted_sum"]
