"""Random items from strata of difficulty, in every batch others.

Tasks of a group are strata of their own, as each has its own window.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evomerge.analysis.allocation.item_choice import recent_mean_and_spread
from evomerge.analysis.allocation.sampling import apportion, bins, simple
from evomerge.options import Option
from evomerge.search.allocation.history import TaskAnswers
from evomerge.search.allocation.policies._shared.spec import PolicySpec
from evomerge.search.allocation.window import Choice


def choose(answers: TaskAnswers, size: int, options: Mapping[str, Any], random: np.random.Generator) -> Choice:
    """A simple random sample of each stratum; an item's probability is the share of its stratum that is asked."""
    mean, _ = recent_mean_and_spread(answers.values, len(answers.values))
    known = np.nan_to_num(mean, nan=float(np.nanmean(mean)) if np.isfinite(mean).any() else 0.0)
    strata = bins(known, options["strata"])
    labels = np.unique(strata)
    sizes = np.array([int((strata == label).sum()) for label in labels])
    shares = sizes.astype(np.float64)
    if options["shares"] == "neyman":
        shares *= [_deviation(answers.values[:, strata == label]) for label in labels]
    numbers = apportion(shares, size, sizes)
    rows, inclusion = [], np.zeros(answers.pool)
    for label, number, count in zip(labels, numbers, sizes, strict=True):
        rows.append(simple(random, np.flatnonzero(strata == label), int(number)))
        inclusion[strata == label] = number / count
    return Choice(random.permutation(np.concatenate(rows)), inclusion)


def _deviation(values: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """Mean standard deviation of a candidate's answers within a stratum, with one answer of each kind added."""
    known = np.isfinite(values)
    number = known.sum(axis=1)
    total = np.where(known, values, 0.0)
    mean = (total.sum(axis=1) + 0.5) / (number + 1.0)
    variance = (total**2).sum(axis=1) / np.maximum(number, 1) - (total.sum(axis=1) / np.maximum(number, 1)) ** 2
    floor = np.abs(mean * (1.0 - mean)) / (number + 1.0)
    return float(np.sqrt(np.maximum(variance, floor)).mean()) if len(values) else 1.0


POLICY = PolicySpec(
    name="stratified",
    title="other items in every batch, from strata of difficulty (Neyman 1934, doi:10.2307/2342192)",
    choose=choose,
    options={
        "strata": Option(4, None, int, "number of strata of equal size, by the share of models that is right", 1, 20),
        "shares": Option(
            "proportional", ("proportional", "neyman"), str, "items of a stratum: by its size, or by size and spread"
        ),
    },
)
