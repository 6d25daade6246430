"""Elites: the candidates of a search so far that its next round merges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

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
_SAME = 1e-6  # genes that differ by less are equal but for rounding
_LOOKED_AT = 8  # candidates for each elite that is wanted, at first

Genes = Callable[[Evaluation], tuple[int, NDArray[np.float64]]]
"""The round of a candidate, and its genome there."""


class Elites:
    """Chooses elites when a round is over."""

    def __init__(self) -> None:
        self._spaces: list[tuple[int, GenomeSpec]] = []
        self._copies: list[list[tuple[NDArray[np.float64], Evaluation]]] = [[]]  # of elites, in each round's genome

    def over(self, last: int, genome: GenomeSpec) -> None:
        """A round is over.

        Args:
            last: Its last batch.
            genome: What it searched.
        """
        self._spaces.append((last, genome))

    def choose(self, criteria: Criteria, candidates: Sequence[Evaluation], limit: int, fewest: int) -> list[Evaluation]:
        """The elites of a search whose rounds so far are over, see `elites`; none where there are too few."""
        found = elites(criteria, candidates, limit, self._genes, fewest)
        return found if len(found) >= fewest else []

    def enter(self, chosen: Sequence[Evaluation], alone: Mapping[int, NDArray[np.float64]]) -> None:
        """A round begins.

        Args:
            chosen: Its elites.
            alone: The genomes at which it has one of them, by the place.
        """
        self._copies.append([(genome, chosen[place]) for place, genome in alone.items()])

    def _genes(self, candidate: Evaluation) -> tuple[int, NDArray[np.float64]]:
        """The round and the genome of a candidate; where it is nearly an elite of an earlier round, those of that."""
        number = next(row for row, (last, _) in enumerate(self._spaces) if candidate.batch <= last)
        own = self._spaces[number][1].encode(Recipe.from_json(candidate.recipe))
        for genome, elite in self._copies[number]:
            if _distance(own, genome) < NEAR:
                return self._genes(elite)
        return number, own


def elites(
    criteria: Criteria, candidates: Sequence[Evaluation], limit: int, genes: Genes, fewest: int = 1
) -> list[Evaluation]:
    """The best candidates that are not nearly the same.

    Of one objective those are the best; of several, members of the front, its knee among them, and then of the next
    layers, those that spread best. Where none is feasible, those that miss the constraints by least. Where that gives
    too few to merge, others follow: first infeasible ones, then such as are nearly the same but for a little.

    Args:
        criteria: What is better and what is feasible.
        candidates: Candidates of all rounds so far, with the metrics that they are compared by.
        limit: How many to take at most, 1 or more.
        genes: Gives the genes of a candidate.
        fewest: How many a round needs, at most ``limit``.

    Returns:
        The elites, the best first: of several objectives the knee, then in the order of the asks. Fewer than ``limit``
        only where there are no more, and fewer than ``fewest`` only where no others could be scored.
    """
    choose = shortlist if any(map(criteria.feasible, candidates)) else finalists
    apart: list[Evaluation] = []
    for looked_at in (_LOOKED_AT * limit, len(candidates)):
        apart = _joined([], _ranked(criteria, choose(criteria, candidates, looked_at)), genes, NEAR)
        if len(apart) >= limit:
            break
    chosen = _ranked(criteria, choose(criteria, apart, limit))
    for gap in (NEAR, _SAME):
        if len(chosen) < fewest:
            chosen = _joined(chosen, _in_order(criteria, candidates), genes, gap)[:fewest]
    return chosen


def _joined(
    chosen: Sequence[Evaluation], candidates: Sequence[Evaluation], genes: Genes, gap: float
) -> list[Evaluation]:
    """Those chosen, then candidates that lie as far from all before them as a gap."""
    found, known = list(chosen), [genes(one) for one in chosen]
    for candidate in candidates:
        number, own = genes(candidate)
        if all(number != other or _distance(own, theirs) >= gap for other, theirs in known):
            found.append(candidate)
            known.append((number, own))
    return found


def _in_order(criteria: Criteria, candidates: Sequence[Evaluation]) -> list[Evaluation]:
    """All that could be scored: feasible ones by their objectives, then the others by what they miss."""
    scored = [one for one in candidates if one.error is None]
    others = [one for one in scored if not criteria.feasible(one)]
    feasible = _ranked(criteria, [one for one in scored if criteria.feasible(one)])
    return feasible + sorted(others, key=lambda one: float(np.maximum(criteria.violations(one), 0.0).sum()))


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
