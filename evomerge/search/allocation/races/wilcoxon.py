"""Optuna's Wilcoxon pruner, as a baseline: who is surely worse than the best is asked no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evomerge.analysis.allocation.racing import Part, wilcoxon_p_value
from evomerge.options import Option
from evomerge.search.allocation.races._shared.spec import IN, OPEN, OUT, Fates, RaceSpec, Standing, pairs


def decide(standing: Standing, options: Mapping[str, Any], random: np.random.Generator) -> Fates:
    """Out are those that Wilcoxon's signed-rank test finds worse than the best one, whatever places there are.

    As in Optuna 3.6 the test is repeated without a correction, and a candidate with a better mean is never dropped.
    For several objectives, ours: there must be one candidate that beats it so in each of them.
    """
    n, scores = standing.candidates, standing.scores
    fates = np.full(n, OPEN)
    if standing.rivals is not None:
        for pair in pairs(standing.rivals):
            for loser, winner in (pair, pair[::-1]):
                if _worse(standing.objectives, scores, loser, winner, options["threshold"]):
                    fates[loser], fates[winner] = OUT, IN
        return fates
    best = [int(scores[:, 0].argmin())] if scores.shape[1] == 1 else range(n)
    for row in range(n):
        if any(_worse(standing.objectives, scores, row, other, options["threshold"]) for other in best if other != row):
            fates[row] = OUT
    return fates


def _worse(
    objectives: Sequence[Sequence[Part]], scores: np.ndarray[Any, Any], row: int, other: int, threshold: float
) -> bool:
    if not (scores[other] < scores[row]).all():
        return False
    for parts in objectives:
        gaps = [(part.values[row] - part.values[other]) * part.shares * len(part.shares) for part in parts]
        if wilcoxon_p_value(np.concatenate(gaps)) >= threshold:
            return False
    return True


RACE = RaceSpec(
    name="wilcoxon",
    title="Optuna's pruner: dropped when Wilcoxon's signed-rank test finds it worse than the best",
    decide=decide,
    options={"threshold": Option(0.1, None, float, "p-value below which a candidate is dropped", 0.0001, 0.5)},
)
