"""Whether candidates reach new cells of an archive of elites, or improve on the elite of one."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from evomerge.analysis.diversity.grid import Grid, views
from evomerge.search.searchers._shared.archives.elites import Elite, Elites
from evomerge.search.searchers._shared.protocol import Array, Observation
from evomerge.search.searchers._shared.ranking import Rank, ranks

__all__ = ["CellRecord"]


class CellRecord:
    """The elites of all cells so far, by what the searcher was told: each objective's over the other ones' measures.

    Args:
        grid: The cells over the measures.
        n_obj: Number of objectives.
    """

    def __init__(self, grid: Grid, n_obj: int) -> None:
        self._views = views(n_obj, len(grid))
        self._archives = [Elites(grid.over(axes)) for axes in self._views]
        self._told: dict[str, Observation] = {}  # of elites

    @classmethod
    def of(cls, grid: Grid | None, n_obj: int) -> CellRecord | None:
        """That of a search; None where no archive is kept."""
        return None if grid is None else cls(grid, n_obj)

    def add(self, observations: Iterable[Observation]) -> bool:
        """Takes in what the searcher is told, corrected values of elites too.

        Args:
            observations: With measures. Those of candidates that could not be scored (`Observation.G`) reach no cell,
                as their measures are placeholders; an elite that fails when it is asked more items leaves its own.

        Returns:
            Whether a candidate that is told for the first time has a cell to itself, or is better than who had it.
        """
        told = {one.id: one for one in observations}
        failed = {id for id, one in told.items() if one.G.size and one.G[-1] > 0.0}
        for archive in self._archives:
            archive.drop(failed)
        told = {id: one for id, one in told.items() if id not in failed}
        again = {id: one for id, one in told.items() if id in self._told}
        new = [one for id, one in told.items() if id not in again]
        self._told |= told
        improved = False
        for number, (archive, axes) in enumerate(zip(self._archives, self._views, strict=True)):
            ranked = dict(self._ranked(told, number))
            if again:
                archive.correct(ranked, {id: self._measures(id, axes) for id in archive.ids})
            for one in new:
                elite = Elite(one.id, np.zeros(0), ranked[one.id])
                improved = archive.add(elite, self._measures(one.id, axes)) is not None or improved
        kept = {id for archive in self._archives for id in archive.ids}
        self._told = {id: one for id, one in self._told.items() if id in kept}
        return improved

    def _ranked(self, told: dict[str, Observation], number: int) -> Iterable[tuple[str, Rank]]:
        if not told:
            return ()
        F, G = (np.array([getattr(one, name) for one in told.values()]) for name in ("F", "G"))
        return ranks(list(told), F[:, number : number + 1], G.reshape(len(told), -1))

    def _measures(self, id: str, axes: tuple[int, ...]) -> Array:
        measures = self._told[id].measures
        assert measures is not None
        return measures[list(axes)]
