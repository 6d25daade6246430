"""Successive halving: the better part of the candidates is asked the next rung (Jamieson & Talwalkar 2016)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from evomerge.analysis.pareto import layers
from evomerge.options import Option
from evomerge.search.allocation.races._shared.spec import IN, OPEN, OUT, Fates, RaceSpec, Standing, pairs


def decide(standing: Standing, options: Mapping[str, Any], random: np.random.Generator) -> Fates:
    """The best go on, by non-dominated layer, within one by the sum of scaled objectives; of pairs the closest."""
    scores = standing.scores
    scale = scores.std(axis=0)
    total = (scores / np.where(scale > 0.0, scale, 1.0)).sum(axis=1)
    if standing.rivals is not None:
        return _closest(standing, total, options["factor"])
    depth = np.zeros(standing.candidates, dtype=int)
    for number, layer in enumerate(layers(scores, standing.candidates)):
        depth[layer] = number
    order = np.lexsort((total, depth))
    fates = np.full(standing.candidates, OUT)
    fates[order[: standing.places]] = IN
    fates[order[: math.ceil(standing.candidates / options["factor"])]] = OPEN
    return fates


def _closest(standing: Standing, total: np.ndarray[Any, np.dtype[np.float64]], factor: float) -> Fates:
    assert standing.rivals is not None
    compared = pairs(standing.rivals)
    gap = np.abs(total[compared[:, 0]] - total[compared[:, 1]])
    fates = np.full(standing.candidates, OUT)
    fates[compared[np.argsort(gap, kind="stable")[: math.ceil(len(compared) / factor)]].ravel()] = OPEN
    return fates


RACE = RaceSpec(
    name="halving",
    title="successive halving (Jamieson & Talwalkar 2016, arXiv 1502.07943): the better part goes on",
    decide=decide,
    options={"factor": Option(2.0, None, float, "one in so many candidates goes on to the next rung", 1.1, 10.0)},
)
