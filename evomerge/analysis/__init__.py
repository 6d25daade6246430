"""Statistics of scores and fronts: arrays in, numbers out.

- :mod:`~evomerge.analysis.intervals`, :mod:`~evomerge.analysis.difference`: one model on one task; two models on the
  same items. Scores of 0 and 1 get score intervals (Wilson, Tango), which stay honest when all answers agree; other
  values get Student's t.
- :mod:`~evomerge.analysis.clusters`: items that belong together, which intervals and bootstraps count whole.
- :mod:`~evomerge.analysis.contributions`: per-item contributions to a metric of any common kind.
- :mod:`~evomerge.analysis.strata`: scores over several tasks, their differences and p-values.
- :mod:`~evomerge.analysis.truncation`: cut answers as a rival explanation of a difference.
- :mod:`~evomerge.analysis.significance`: p-values from intervals, and Holm's correction.
- :mod:`~evomerge.analysis.margin`: whether a model holds what others reach, to within a margin.
- :mod:`~evomerge.analysis.repeated_splits`: what choosing the best of a shortlist gives on fresh items.
- :mod:`~evomerge.analysis.pareto`, :mod:`~evomerge.analysis.archive`: non-dominated sets, hypervolume, knee.
- :mod:`~evomerge.analysis.diversity`: archives of elites over measures; models that compete for items.
- :mod:`~evomerge.analysis.models`: likeness and kinship of deltas, weights from losses, shares of fused layers.
- :mod:`~evomerge.analysis.estimators`: scores over all items from answers to some, a folder with one file each.
- :mod:`~evomerge.analysis.allocation`: where answers are worth asking for: samples, informative items, races, shares.
- :mod:`~evomerge.analysis.course`: the best value and the hypervolume so far.
- :mod:`~evomerge.analysis.sweeps`: several runs: attainment surfaces, spread, importance of settings.
"""

from evomerge.analysis.difference import paired_difference
from evomerge.analysis.intervals import Interval, interval, is_binary, mean_se, weighted_sum
from evomerge.analysis.models.fusion import fusion_ratio
from evomerge.analysis.models.likeness import Kinship, Likeness, Sums
from evomerge.analysis.models.losses import loss_weights
from evomerge.analysis.significance import holm
from evomerge.analysis.strata import Stratum, common_strata, stratified_difference, stratified_p_value, stratified_score
from evomerge.analysis.student import student_quantile
from evomerge.analysis.truncation import Truncation, UnevenTruncation, truncation, uneven_truncation

__all__ = [
    "Interval",
    "Kinship",
    "Likeness",
    "Stratum",
    "Sums",
    "Truncation",
    "UnevenTruncation",
    "common_strata",
    "fusion_ratio",
    "holm",
    "interval",
    "is_binary",
    "loss_weights",
    "mean_se",
    "paired_difference",
    "stratified_difference",
    "stratified_p_value",
    "stratified_score",
    "student_quantile",
    "truncation",
    "uneven_truncation",
    "weighted_sum",
]
