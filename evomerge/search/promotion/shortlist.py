"""Picks candidates for the selection split, and finalists for the test split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from evomerge.analysis.diversity.grid import elites, spread, views
from evomerge.analysis.pareto import knee, layers, normalise
from evomerge.evaluation import Evaluation
from evomerge.search.criteria import Criteria

__all__ = ["choose", "finalists", "of_archives", "shortlist"]


def shortlist(criteria: Criteria, candidates: Sequence[Evaluation], limit: int) -> list[Evaluation]:
    """The best feasible candidates: non-dominated layers, of the last one what spreads best.

    Args:
        criteria: What is better and what is feasible.
        candidates: Evaluations on the same items.
        limit: How many to take at most.

    Returns:
        Evaluations in the order of ``candidates``; fewer than ``limit`` only if there are fewer feasible ones.
    """
    feasible = [evaluation for evaluation in candidates if criteria.feasible(evaluation)]
    F = np.array([criteria.minimised(e) for e in feasible]).reshape(len(feasible), len(criteria.objectives))
    chosen: list[int] = []
    for layer in layers(F, limit):
        chosen += [layer[row] for row in choose(F[layer], limit - len(chosen))]
    return [feasible[row] for row in sorted(chosen)]


def of_archives(
    criteria: Criteria, candidates: Sequence[Evaluation], limit: int, judged: Sequence[Evaluation] | None = None
) -> list[Evaluation]:
    """The best elites of archives, spread over their cells: of each archive as many, if there are.

    Args:
        criteria: What is better and what is feasible, with the cells over the measures.
        candidates: Evaluations on the search items, which say who lies in which cell.
        limit: How many to take at most.
        judged: Evaluations of the same candidates on the items by which they are compared, all feasible there; None for
            those on the search items, where who is infeasible is left out.

    Returns:
        Of these evaluations, in the order of ``candidates``.
    """
    assert criteria.grid is not None
    feasible = [e for e in candidates if criteria.feasible(e)] if judged is None else list(candidates)
    compared = feasible if judged is None else list(judged)
    measures = [[measure.value(e.metrics) for measure in criteria.measures] for e in feasible]
    F = np.array([criteria.minimised(e) for e in compared]).reshape(len(feasible), len(criteria.objectives))
    points = np.array(measures).reshape(len(feasible), len(criteria.measures))
    archives = views(F.shape[1], len(criteria.measures))
    chosen: list[int] = []
    for number, axes in enumerate(archives):
        rows = elites(criteria.grid.over(axes), points[:, axes], F[:, number])
        left = {cell: row for cell, row in rows.items() if row not in chosen}
        share = (limit - len(chosen)) // (len(archives) - number)
        picked = spread(list(left), F[list(left.values()), number], share)
        chosen += [list(left.values())[place] for place in picked]
    return [compared[row] for row in sorted(chosen)]


def finalists(criteria: Criteria, candidates: Sequence[Evaluation], limit: int) -> list[Evaluation]:
    """The feasible candidates that none dominates, at most so many.

    Where none is feasible, those that miss the constraints by least: they were feasible on the items of the search, and
    whether they are on others is what the test split is asked.

    Args:
        criteria: What is better and what is feasible.
        candidates: Evaluations on the same items.
        limit: How many to take at most.

    Returns:
        Evaluations in the order of ``candidates``; failed ones are never among them.
    """
    scored = [evaluation for evaluation in candidates if evaluation.error is None]
    feasible = [evaluation for evaluation in scored if criteria.feasible(evaluation)]
    if scored and not feasible:
        missed = [float(np.maximum(criteria.violations(evaluation), 0.0).sum()) for evaluation in scored]
        return [scored[row] for row in sorted(np.argsort(missed, kind="stable")[:limit].tolist())]
    F = np.array([criteria.minimised(e) for e in feasible]).reshape(len(feasible), len(criteria.objectives))
    front = next(iter(layers(F, 1)), [])
    return [feasible[front[row]] for row in choose(F[front], limit)]


def choose(F: ArrayLike, limit: int) -> list[int]:
    """Chooses from points of one front.

    All of it if there is room, else the knee, the best in each objective, then what lies furthest from those chosen.

    Args:
        F: Objectives to minimise of the front's members, ``(n, m)``.
        limit: How many to take at most.

    Returns:
        Rows of ``F``, ascending.
    """
    points = np.asarray(F, dtype=np.float64)
    if len(points) <= limit:
        return list(range(len(points)))
    if limit < 1:
        return []
    wanted = [knee(points), *(int(row) for row in points.argmin(axis=0))]
    chosen = list(dict.fromkeys(wanted))[:limit]
    scaled = normalise(points)
    while len(chosen) < limit:
        gaps = np.linalg.norm(scaled[:, None, :] - scaled[None, chosen, :], axis=2).min(axis=1)
        gaps[chosen] = -1.0
        chosen.append(int(gaps.argmax()))
    return sorted(chosen)
