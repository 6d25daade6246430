"""Archives of elites: the best candidate of each cell of a grid over measures."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from evomerge.analysis.diversity.grid import Cell, Grid
from evomerge.search.searchers._shared.protocol import Array, Observation
from evomerge.search.searchers._shared.ranking import Rank

__all__ = ["Elite", "Elites", "measures_of"]


@dataclass(frozen=True, eq=False)
class Elite:
    """The best candidate of a cell.

    Attributes:
        id: Its proposal.
        x: Its genome, ``(n_var,)``.
        rank: Violation, then the objective; less is better.
    """

    id: str
    x: Array
    rank: Rank


class Elites:
    """An archive of elites (Mouret & Clune 2015, arXiv:1504.04909): feasible before infeasible, then less violation.

    Args:
        grid: Its cells.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self._members: dict[Cell, Elite] = {}

    def __len__(self) -> int:
        """Number of cells with an elite."""
        return len(self._members)

    @property
    def members(self) -> dict[Cell, Elite]:
        """Cell to elite, in the order in which cells were reached."""
        return dict(self._members)

    @property
    def parents(self) -> list[Elite]:
        """The elites that children are made of: those that are feasible; all as long as none is."""
        members = list(self._members.values())
        return [elite for elite in members if elite.rank[0] <= 0.0] or members

    @property
    def ids(self) -> tuple[str, ...]:
        """Proposals of all elites; a candidate that is the elite of several archives is in each."""
        return tuple(elite.id for elite in self._members.values())

    def add(self, elite: Elite, measures: Array) -> float | None:
        """Puts a candidate into its cell, if that is empty or its elite is worse.

        Args:
            elite: The candidate.
            measures: ``(measures,)``.

        Returns:
            By how much it improves on the elite of its cell, infinite where there was none; None where it does not.
        """
        cell = self.grid.cell(measures)
        before = self._members.get(cell)
        if before is not None and elite.rank >= before.rank:
            return None
        self._members[cell] = elite
        return np.inf if before is None else before.rank[1] - elite.rank[1]

    def drop(self, ids: Collection[str]) -> None:
        """Empties the cells whose elites are among some proposals."""
        self._members = {cell: elite for cell, elite in self._members.items() if elite.id not in ids}

    def correct(self, ranks: dict[str, Rank], measures: dict[str, Array]) -> None:
        """Gives elites corrected values; two that now meet in a cell are compared.

        Args:
            ranks: Rank of some proposals, elites or not.
            measures: Measures of at least all elites.
        """
        before, self._members = list(self._members.values()), {}
        for elite in before:
            self.add(Elite(elite.id, elite.x, ranks.get(elite.id, elite.rank)), measures[elite.id])


def measures_of(observations: Sequence[Observation], count: int) -> dict[str, Array]:
    """The measures of each observed proposal.

    Raises:
        RuntimeError: If some have none, or another number of them.
    """
    for one in observations:
        if one.measures is None or one.measures.shape != (count,):
            came = "none" if one.measures is None else f"shape {one.measures.shape}"
            raise RuntimeError(f"proposal {one.id} was told without its {count} measures: came {came}")
    return {one.id: one.measures for one in observations if one.measures is not None}
