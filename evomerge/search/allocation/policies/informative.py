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
        rows = simple(random, np.arange(answers.pool), size)
        return Choice(rows, np.full(answers.pool, size / answers.pool))
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
    inclusion = np.zeros(answers.pool)
    inclusion[last] = carried / max(int(last.sum()), 1)
    inclusion[informative] = _contested(variance[informative], contested)
    inclusion[others] = audit / max(len(others), 1)
    along = np.lexsort((random.random(len(others)), mean[others]))
    rows = np.concatenate(
        [
            simple(random, np.flatnonzero(last), carried),
            informative[systematic(random, inclusion[informative])],
            others[systematic(random, inclusion[others], along)],
        ]
    )
    return Choice(random.permutation(rows), inclusion)


def _contested(variance: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Probabilities that follow the variance of answers, as a share of the largest possible."""
    top = max(float(variance.max(initial=0.0)), _ROUNDING)
    scale = 0.25 if top <= 0.25 else top
    return inclusion_probabilities(0.25 * variance / scale + _FLOOR, size)


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
