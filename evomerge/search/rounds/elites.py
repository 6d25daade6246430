"""Elites: the candidates of a search so far that its next round merges."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis.pareto import knee, layers
from evomerge.evaluation import Evaluation
from evomerge.genome import GenomeSpec
from evomerge.recipe import Recipe
from evomerge.search.criteria import Criteria
from evomerge.search.promotion.shortlist import finalists, shortlist

__all__ = ["Elites", "elites"]

# Genes of one round whose root mean square difference is less stand for nearly the same model: a fifth of the deviation
# that CMA-ES begins with. What it has converged to is one model, not four.
NEAR = 0.05
_LOOKED_AT = 8  # candidates for each elite that is wanted

Genes = Callable[[Evaluation], tuple[int, NDArray[np.float64]]]
"""The round of a candidate, and its genome there."""


class Elites:
    """Chooses elites when a round is over."""

    def __init__(self) -> None:
        self._spaces: list[tuple[int, GenomeSpec]] = []

    def choose(
        self, criteria: Criteria, candidates: Sequence[Evaluation], limit: int, last: int, genome: GenomeSpec
    ) -> list[Evaluation]:
        """The elites of a search, see `elites`.

        Args:
            criteria: What is better and what is feasible.
            candidates: Candidates of all rounds so far, with the metrics that they are compared by.
            limit: How many to take at most.
            last: The last batch of the round that is over.
            genome: What it searched.
        """
        self._spaces.append((last, genome))
        return elites(criteria, candidates, limit, self._genes)

    def _genes(self, candidate: Evaluation) -> tuple[int, NDArray[np.float64]]:
        number = next(row for row, (last, _) in enumerate(self._spaces) if candidate.batch <= last)
        return number, self._spaces[number][1].encode(Recipe.from_json(candidate.recipe))


def elites(criteria: Criteria, candidates: Sequence[Evaluation], limit: int, genes: Genes) -> list[Evaluation]:
    """The best candidates that are not nearly the same.

    Of one objective those are the best; of several, members of the front, its knee among them, and then of the next
    layers, those that spread best. Where none is feasible, those that miss the constraints by least.

    Args:
        criteria: What is better and what is feasible.
        candidates: Candidates of all rounds so far, with the metrics that they are compared by.
        limit: How many to take at most, 1 or more.
        genes: Gives the genes of a candidate.

    Returns:
        The elites, the best first: of several objectives the knee, then in the order of the asks. Fewer than ``limit``
        only where there are no more, and none only where no candidate could be scored.
    """
    choose = shortlist if any(map(criteria.feasible, candidates)) else finalists
    looked_at = _ranked(criteria, choose(criteria, candidates, _LOOKED_AT * limit))
    apart: list[Evaluation] = []
    known: list[tuple[int, NDArray[np.float64]]] = []
    for candidate in looked_at:
        number, own = genes(candidate)
        if all(number != other or _distance(own, theirs) >= NEAR for other, theirs in known):
            apart.append(candidate)
            known.append((number, own))
    return _ranked(criteria, choose(criteria, apart, limit))


def _ranked(criteria: Criteria, candidates: Sequence[Evaluation]) -> list[Evaluation]:
    """Candidates by non-dominated layers, the knee of the first one before all others."""
    F = np.array([criteria.minimised(e) for e in candidates]).reshape(len(candidates), len(criteria.objectives))
    rows = [row for layer in layers(F, len(candidates)) for row in sorted(layer)]
    if rows and F.shape[1] > 1:
        front = sorted(next(iter(layers(F, 1))))
        best = front[knee(F[front])]
        rows = [best, *(row for row in rows if row != best)]
    return [candidates[row] for row in rows]


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean((one - other) ** 2)))
