"""Quality of a run's front in one number: hypervolume and R2, with the points that they are measured from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis.fronts import r2
from evomerge.analysis.pareto import hypervolume
from evomerge.evaluation import Evaluation
from evomerge.report.members import Member
from evomerge.report.results import Results
from evomerge.report.wording import SPLIT_WORDS, score

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Indicators:
    """Indicators of a front on one split, and of the baselines alone.

    Attributes:
        hypervolume: Volume that the front dominates, from the reference point on, in natural units; more is better.
        r2: R2 indicator, see `scaled_r2`; less is better.
        baselines: The same two of the baselines alone.
        reference: The worst baseline score of each objective, natural units.
        ideal: The best score of each objective that any baseline or member of the front has, natural units.
    """

    hypervolume: float
    r2: float
    baselines: tuple[float, float]
    reference: tuple[float, ...]
    ideal: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object."""
        volume, distance = self.baselines
        return {
            "hypervolume": self.hypervolume,
            "r2": self.r2,
            "baselines": {"hypervolume": volume, "r2": distance},
            "reference": list(self.reference),
            "ideal": list(self.ideal),
        }


def scaled_r2(F: Array, ideal: Array, reference: Array) -> float:
    """R2 over uniform weights, each objective scaled so that the ideal is 0 and the reference point 1.

    Args:
        F: Objective values, less being better, ``(n, m)``.
        ideal: The best value of each objective, ``(m,)``.
        reference: The worst baseline's, ``(m,)``; an objective in which it is no worse than the ideal is not scaled.
    """
    span = np.where(reference > ideal, reference - ideal, 1.0)
    return r2((F - ideal) / span, np.zeros_like(ideal))


def indicator_words(results: Results, found: Indicators, split: str, unit: Mapping[str, str]) -> str:
    """The points that indicators are measured from, in a few sentences.

    Args:
        results: The run's records.
        found: The indicators.
        split: The split of their scores.
        unit: Objective label to the unit of its scores.
    """
    labels = [o.label for o in results.objectives]
    worst, best = (
        ", ".join(f"{label} {score(value, unit[label])}" for label, value in zip(labels, point, strict=True))
        for point in (found.reference, found.ideal)
    )
    return (
        "Hypervolume: the volume of score space that the front dominates, more being better, in natural units, from "
        f"the worst baseline score of each objective (on {SPLIT_WORDS[split]} items {worst}). "
        "R2 (Brockhoff et al. 2012): the mean weighted Chebyshev distance of the front to the best score of each "
        "objective, less being better, over uniform weights, with that best score "
        f"({best}) at 0 and the worst baseline's at 1. On search items the front is of all candidates, and flatters."
    )


def indicators(results: Results, split: str, front: Sequence[Evaluation]) -> Indicators | None:
    """Indicators of a front.

    Args:
        results: The run's records.
        split: The split.
        front: Members with scores there.

    Returns:
        The indicators; None of a single objective, of no member, and where no baseline was scored.
    """
    found = [results.baseline(name, split) for name in results.fixed]
    baselines = [e for e in found if e is not None and results.scored(e)]
    if len(results.objectives) < 2 or not baselines or not front:
        return None
    signs = np.array([-1.0 if o.higher_is_better else 1.0 for o in results.objectives])
    points, fixed = results.minimised(front), results.minimised(baselines)
    reference, ideal = fixed.max(axis=0), np.concatenate([points, fixed]).min(axis=0)
    return Indicators(
        hypervolume(points, reference),
        scaled_r2(points, ideal, reference),
        (hypervolume(fixed, reference), scaled_r2(fixed, ideal, reference)),
        tuple((signs * reference).tolist()),
        tuple((signs * ideal).tolist()),
    )


def by_split(results: Results, members: Sequence[Member]) -> dict[str, Indicators]:
    """Split to indicators: of all feasible candidates on search items, elsewhere of the members asked there."""
    records = {
        "search": [e for e in results.candidates if results.scored(e) and results.feasible(e)],
        "selection": [m.selection for m in members if m.selection is not None and m.selection_scores],
        "test": [m.test for m in members if m.test is not None and m.test_scores],
    }
    found = {split: indicators(results, split, front) for split, front in records.items()}
    return {split: one for split, one in found.items() if one is not None}


def examples(found: Indicators | None, objectives: int) -> tuple[str, str]:
    """Preferences as a person may write them: more of the first objective, and the best scores there are."""
    wished = found.ideal if found is not None else (0.5,) * objectives
    weights = ",".join(["2", *["1"] * (objectives - 1)])
    return f"weights:{weights}", f"reference:{','.join(f'{value:.3g}' for value in wished)}"
