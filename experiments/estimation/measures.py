"""Measures of estimates against true scores."""

from __future__ import annotations

import numpy as np

from evomerge.analysis.allocation.proxy import kendall
from evomerge.analysis.estimators import Estimates
from experiments.estimation.cells import Array

Measures = dict[str, float]
CEILING = "ceiling"  # tau of a proxy over all items: what it can reach


def ranking(score: Array, truth: Array, random: np.random.Generator) -> Measures:
    """How well a score, of any unit, ranks.

    Args:
        score: More being better, ``(candidates,)``.
        truth: True scores, ``(candidates,)``.
        random: Breaks ties for the first place.

    Returns:
        ``tau``, and ``regret``: how much better the truly best one is than the one with the largest score.
    """
    pick = first(score, random)
    return {"tau": kendall(score, truth), "regret": float(truth.max() - truth[pick])}


def first(score: Array, random: np.random.Generator) -> int:
    """The place of the largest score, ties broken by chance."""
    best = np.flatnonzero(score >= np.nanmax(score) - 1e-12)
    return int(best[int(random.random() * len(best))])


def measured(found: Estimates, truth: Array, random: np.random.Generator) -> Measures:
    """How good estimates are.

    Args:
        found: Estimates of all candidates that are ranked.
        truth: Their true scores, ``(candidates,)``.
        random: Breaks ties for the first place.

    Returns:
        `ranking`'s, and: ``mae`` and ``bias`` of the level; ``inside``, the share of 95 % intervals that hold the true
        score, and their mean ``width``; ``paired``, the same of differences to the first candidate; ``optimism`` of the
        largest estimate.
    """
    intervals = [found.interval(place) for place in range(len(truth))]
    gaps = [found.difference(place, 0) for place in range(1, len(truth))]
    within = [
        low_high.low - 1e-9 <= true <= low_high.high + 1e-9 for low_high, true in zip(intervals, truth, strict=True)
    ]
    apart = [gap.low - 1e-9 <= true <= gap.high + 1e-9 for gap, true in zip(gaps, truth[1:] - truth[0], strict=True)]
    value = np.asarray(found.value, dtype=np.float64)
    errors = value - truth
    pick = first(value, random)
    return {
        **ranking(value, truth, random),
        "mae": float(np.abs(errors).mean()),
        "bias": float(errors.mean()),
        "inside": float(np.mean(within)),
        "paired": float(np.mean(apart)),
        "width": float(np.mean([one.high - one.low for one in intervals])),
        "optimism": float(errors[pick]),
    }
