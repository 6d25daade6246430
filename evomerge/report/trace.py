"""How a search went: the best score so far and the hypervolume, evaluation by evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis import pareto
from evomerge.report.results import Results


@dataclass(frozen=True)
class Trace:
    """A search over its evaluations.

    Attributes:
        scores: Scores of each candidate in the order asked, natural units; None where it failed.
        feasible: Whether each candidate met the constraints.
        best: Per objective, ``(evaluation, score)`` wherever the best feasible score so far changed.
        hypervolume: ``(evaluation, hypervolume)`` wherever it changed; empty for a single objective.
        reference: The hypervolume's reference point, natural units: the worst baseline score of each objective.
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
    reference = _reference(results, [row for row in rows if row is not None])
    followed = [row if ok else None for row, ok in zip(rows, feasible, strict=True)]
    several = len(signs) > 1
    return Trace(
        scores=tuple(None if row is None else tuple((signs * row).tolist()) for row in rows),
        feasible=feasible,
        best=tuple(_best(followed, column, float(sign)) for column, sign in enumerate(signs)),
        hypervolume=_hypervolume(followed, reference) if several and reference.size else (),
        reference=tuple((signs * reference).tolist()) if reference.size else (),
        baselines=pareto.hypervolume(_baselines(results), reference) if several and reference.size else 0.0,
    )


def _baselines(results: Results) -> NDArray[np.float64]:
    found = [results.baseline(name, "search") for name in results.names]
    return results.minimised([e for e in found if e is not None and results.scored(e)])


def _reference(results: Results, rows: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    baselines = _baselines(results)
    if len(baselines):
        return np.asarray(baselines.max(axis=0))
    return np.max(rows, axis=0) if rows else np.empty(0)


def _best(rows: Sequence[NDArray[np.float64] | None], column: int, sign: float) -> tuple[tuple[int, float], ...]:
    steps: list[tuple[int, float]] = []
    lowest = np.inf
    for count, row in enumerate(rows, start=1):
        if row is not None and row[column] < lowest:
            lowest = row[column]
            steps.append((count, sign * float(lowest)))
    return tuple(steps)


def _hypervolume(
    rows: Sequence[NDArray[np.float64] | None], reference: NDArray[np.float64]
) -> tuple[tuple[int, float], ...]:
    steps: list[tuple[int, float]] = []
    front = np.empty((0, reference.size))
    for count, row in enumerate(rows, start=1):
        if row is None or (front <= row).all(axis=1).any():
            continue
        front = np.vstack([front[~(front >= row).all(axis=1)], row])
        volume = pareto.hypervolume(front, reference)
        if not steps or volume > steps[-1][1]:
            steps.append((count, volume))
    return tuple(steps)
