"""More items only around the selection cut: for those who may stay or may not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from evomerge.analysis.allocation.racing import chance_of_selection
from evomerge.options import Option
from evomerge.search.allocation.races._shared.spec import IN, OPEN, OUT, Fates, RaceSpec, Standing, pairs


def decide(standing: Standing, options: Mapping[str, Any], random: np.random.Generator) -> Fates:
    """Open are those whose posterior probability of a place is neither small nor large; a heuristic, not a test."""
    least, most = options["doubt"], 1.0 - options["doubt"]
    if standing.rivals is None:
        if standing.places >= standing.candidates:
            return np.full(standing.candidates, IN)
        chance = chance_of_selection(standing.objectives, standing.places, options["draws"], random)
        return np.where(chance < least, OUT, np.where(chance > most, IN, OPEN))
    fates = np.full(standing.candidates, IN)
    for pair in pairs(standing.rivals):
        parts = [[replace(part, values=part.values[pair]) for part in own] for own in standing.objectives]
        chance = chance_of_selection(parts, 1, options["draws"], random)
        fates[pair] = np.where(chance < least, OUT, np.where(chance > most, IN, OPEN))
    return fates


RACE = RaceSpec(
    name="cut",
    title="more items for candidates that may or may not be selected, by the Bayesian bootstrap over items",
    decide=decide,
    options={
        "doubt": Option(
            0.1, None, float, "a probability of selection below this, or above 1 less this, is settled", 0.001, 0.5
        ),
        "draws": Option(400, None, int, "draws of the posterior", 50, 10000),
    },
)
