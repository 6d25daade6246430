"""Violations of constraints as estimated from the items of a window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis.allocation.racing import Part
from evomerge.evaluation import Constraint, Evaluation
from evomerge.search.allocation.estimate import estimate
from evomerge.search.allocation.scores import Scores
from evomerge.search.allocation.window import Prefix

__all__ = ["CONFIDENCE_FACTOR", "violations"]

CONFIDENCE_FACTOR = 1.645  # a constraint counts as missed where that is so with a confidence of 95 %


def violations(
    constraints: Sequence[Constraint],
    scores: Scores,
    baselines: Mapping[str, Evaluation],
    evaluations: Sequence[Evaluation],
    prefix: Prefix,
) -> NDArray[np.float64]:
    """How far candidates surely miss each constraint: the estimate less 1.645 of its standard errors.

    Taken at its face a noisy estimate would reject every other candidate that just meets a constraint. Relative
    constraints are measured from the baseline's answers to the same items, item by item.

    Args:
        constraints: The constraints.
        scores: Estimates.
        baselines: Name to evaluation of those that could be scored.
        evaluations: Candidates that have answered the prefix, none failed.
        prefix: The items.

    Returns:
        ``(candidates, constraints)``; 0 or less where a constraint holds or may hold.
    """
    found = np.zeros((len(evaluations), len(constraints)))
    for column, constraint in enumerate(constraints):
        terms = [(1.0, constraint.metric)]
        parts = scores.parts(terms, evaluations, prefix)
        if constraint.relative_to is not None:
            named = [e for name, e in baselines.items() if constraint.refers_to(name)]
            values = [_value(scores.parts(terms, [e], prefix))[0] for e in named]
            best = int(np.argmax(values) if constraint.sense == ">=" else np.argmin(values))
            parts = _relative(parts, scores.parts(terms, [named[best]], prefix))
        value, se = _value(parts), _error(parts)
        missed = constraint.bound - value if constraint.sense == ">=" else value - constraint.bound
        found[:, column] = missed - CONFIDENCE_FACTOR * se
    return found


def _relative(parts: Sequence[Part], others: Sequence[Part]) -> list[Part]:
    """Differences to one other, item by item."""
    return [
        Part(part.values - other.values, part.weights, part.population, part.exact)
        for part, other in zip(parts, others, strict=True)
    ]


def _value(parts: Sequence[Part]) -> NDArray[np.float64]:
    return np.asarray(np.sum([part.means for part in parts], axis=0))


def _error(parts: Sequence[Part]) -> NDArray[np.float64]:
    variance = np.zeros(len(parts[0].values))
    for part in parts:
        if not part.exact:
            weights = np.broadcast_to(part.weights, part.values.shape)
            variance = variance + estimate(part.values, weights, part.population).se ** 2
    return np.sqrt(variance)
