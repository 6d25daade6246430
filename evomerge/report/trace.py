"""The course of a search: scores, the best so far and the hypervolume, evaluation by evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis.course import best_so_far, hypervolume_so_far
from evomerge.analysis.pareto import hypervolume
from evomerge.report.results import Results


@dataclass(frozen=True)
class Trace:
    """A search over its evaluations.

    Attributes:
        scores: Scores of each candidate in the order asked, natural units; None where it failed.
        feasible: Whether each candidate met the constraints.
        best: Per objective, ``(evaluation, score)`` wherever the best feasible score so far changed.
        hypervolume: ``(evaluation, hypervolume)`` wherever it changed; empty for a single objective, and where no
            baseline was scored.
        reference: The hypervolume's reference point, natural units: the worst baseline score of each objective; empty
            where no baseline was scored.
        baselines: Hypervolume of the baselines alone.
    """

    scores: tuple[tuple[float, ...] | None, ...]
    feasible: tuple[bool, ...]
    best: tuple[tuple[tuple[int, float], ...], ...]
    hypervolume: tuple[tuple[int, float], ...]
    reference: tuple[float, ...]
    baselines: float


def trace(results: Results) -> Trace:
    """Follows a run's candidates in the order they were asked, counting from 1."""
    signs = np.array([-1.0 if o.higher_is_better else 1.0 for o in results.objectives])
    scored = [results.scored(e) for e in results.candidates]
    feasible = tuple(ok and results.feasible(e) for ok, e in zip(scored, results.candidates, strict=True))
    rows = [results.minimised([e])[0] if ok else None for ok, e in zip(scored, results.candidates, strict=True)]
    baselines = _baselines(results)
    reference = baselines.max(axis=0) if len(baselines) else np.empty(0)
    followed = [row if ok else None for row, ok in zip(rows, feasible, strict=True)]
    several = len(signs) > 1 and bool(reference.size)
    best = (best_so_far(followed, column) for column in range(len(signs)))
    return Trace(
        scores=tuple(None if row is None else tuple((signs * row).tolist()) for row in rows),
        feasible=feasible,
        best=tuple(
            tuple((count, float(sign) * value) for count, value in steps)
            for sign, steps in zip(signs, best, strict=True)
        ),
        hypervolume=hypervolume_so_far(followed, reference) if several else (),
        reference=tuple((signs * reference).tolist()) if reference.size else (),
        baselines=hypervolume(baselines, reference) if several else 0.0,
    )


def _baselines(results: Results) -> NDArray[np.float64]:
    found = [results.baseline(name, "search") for name in results.fixed]
    return results.minimised([e for e in found if e is not None and results.scored(e)])
