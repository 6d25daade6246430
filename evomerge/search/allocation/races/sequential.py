"""A paired sequential test: a candidate that cannot stay is asked no more, and mistakes have a stated probability."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evomerge.analysis.allocation.racing import beaten, paired_p_values
from evomerge.options import Option
from evomerge.search.allocation.races._shared.spec import IN, OPEN, OUT, Fates, RaceSpec, Standing, pairs


def decide(standing: Standing, options: Mapping[str, Any], random: np.random.Generator) -> Fates:
    """Out are those that at least as many others beat as there are places.

    A candidate that would stay if all items of the pool were asked is dropped with a probability of at most ``level``
    in all rungs of a batch together: each decision has an equal share of it (Bonferroni), several objectives need no
    further correction (`paired_p_values`), nor does the number of candidates (`beaten`). That holds where a window is a
    random part of the pool, not where its items were named by their answers, and it is about objectives: candidates
    that miss a constraint do not come here. Where candidates are compared in pairs, a pair is settled when one beats
    the other.
    """
    level = options["level"] / standing.looks
    p = paired_p_values(standing.objectives)
    if standing.rivals is None:
        return np.where(beaten(p, standing.places, level), OUT, OPEN)
    fates = np.full(standing.candidates, IN)
    for first, second in pairs(standing.rivals):
        loses, wins = p[first, second] <= level, p[second, first] <= level
        fates[first] = OUT if loses else IN if wins else OPEN
        fates[second] = OUT if wins else IN if loses else OPEN
    return fates


RACE = RaceSpec(
    name="sequential",
    title="a paired sequential test for any number of objectives: who cannot stay is dropped",
    decide=decide,
    options={
        "level": Option(
            0.05, None, float, "largest probability that a candidate with a right to stay is dropped", 0.0001, 0.5
        )
    },
)
