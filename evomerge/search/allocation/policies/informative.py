"""Items that tell the present candidates apart, and a share of the others as an audit, with known probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis.allocation.item_choice import recent_mean_and_spread
from evomerge.analysis.allocation.sampling import inclusion_probabilities, simple, systematic
from evomerge.options import Option
from evomerge.search.allocation.history import TaskAnswers
from evomerge.search.allocation.policies._shared.spec import PolicySpec
from evomerge.search.allocation.window import Choice

_FLOOR = 0.05  # added to a share's variance, at most 1/4, so that rarely contested items are asked too
_SMALLEST = 3  # windows that have an item for each stratum
_ROUNDING = 1e-12


def choose(answers: TaskAnswers, size: int, options: Mapping[str, Any], random: np.random.Generator) -> Choice:
    """Three strata, given the records: the last window, informative items outside of it, and all others.

    An item is informative unless its last answers are all alike. Of these, items are taken with a probability
    proportional to the variance of their answers; of the others by a systematic sample along difficulty; of the last
    window a simple random part, which links one batch with the next. Every item has a known probability above 0.
    """
    if size < _SMALLEST:
        return _sampled(random, np.arange(answers.pool), size)
    mean, variance = recent_mean_and_spread(answers.values, options["probe"])
    unknown = ~np.isfinite(variance)
    variance = np.where(unknown, np.nanmax(variance, initial=0.0), variance)
    last = answers.last
    carried = min(round(options["carried"] * size), int(last.sum()), size - 2)
    if carried == 0:  # its items would have no chance
        last = np.zeros_like(last)
    informative = np.flatnonzero(~last & ((variance > _ROUNDING) | unknown))
    others = np.flatnonzero(~last & (variance <= _ROUNDING) & ~unknown)
    audit = min(max(round(options["audit"] * size), 1), len(others), size - carried - 1)
    contested = min(size - carried - audit, len(informative))
    audit = min(size - carried - contested, len(others))
    carried = size - contested - audit
    parts = [
        _sampled(random, np.flatnonzero(last), carried),
        _contested(random, informative, variance[informative], contested),
        _along(random, others, mean[others], audit),
    ]
    rows = np.concatenate([part.rows for part in parts])
    order = random.permutation(size)
    return Choice(rows[order], np.concatenate([part.probabilities for part in parts])[order])


def _sampled(random: np.random.Generator, rows: NDArray[np.int_], size: int) -> Choice:
    return Choice(simple(random, rows, size), np.full(size, size / max(len(rows), 1)))


def _contested(random: np.random.Generator, rows: NDArray[np.int_], variance: NDArray[np.float64], size: int) -> Choice:
    """Rows with probabilities that follow the variance of their answers, as a share of the largest possible."""
    top = max(float(variance.max(initial=0.0)), _ROUNDING)
    scale = 0.25 if top <= 0.25 else top
    probabilities = inclusion_probabilities(0.25 * variance / scale + _FLOOR, size)
    taken = systematic(random, probabilities)
    return Choice(rows[taken], probabilities[taken])


def _along(random: np.random.Generator, rows: NDArray[np.int_], along: NDArray[np.float64], size: int) -> Choice:
    """A systematic sample of equal probabilities, laid by a feature."""
    if size == 0:
        return Choice(rows[:0], np.zeros(0))
    probabilities = np.full(len(rows), size / len(rows))
    order = np.lexsort((random.random(len(rows)), along))
    taken = systematic(random, probabilities, order)
    return Choice(rows[taken], probabilities[taken])


POLICY = PolicySpec(
    name="informative",
    title="items that the last candidates answered differently, and an audit of the others",
    choose=choose,
    options={
        "audit": Option(0.2, None, float, "share of the items taken from those that all answered alike", 0.0, 1.0),
        "carried": Option(0.2, None, float, "share of the last batch's items that are asked again", 0.0, 0.9),
        "probe": Option(12, None, int, "how many of the last answers to an item are looked at", 2, 1000),
    },
)
