"""Grids over measures: the cells of an archive of elites, and who is the elite of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Cell", "Grid", "elites", "spread", "views"]

Cell = tuple[int, ...]
"""The place of a cell along each measure, from 0."""

_MARGIN = 0.25  # of what baselines reach, on either side: merges come to lie beyond them
_ROUNDING = 1e-9  # of a cell's width: a score that is an edge but for the last bits lies above it


@dataclass(frozen=True)
class Grid:
    """Cells of equal size; what lies outside belongs to the outermost ones.

    Attributes:
        low: Where the grid begins along each measure.
        high: Where it ends; above ``low``.
        cells: Number of cells along each measure.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    cells: int

    def __len__(self) -> int:
        """Number of measures."""
        return len(self.low)

    @classmethod
    def spanning(cls, reached: ArrayLike, ends: Sequence[tuple[float | None, float | None]], cells: int) -> Grid:
        """The grid over what some models reach, a quarter of that more on either side, but for ends that are given.

        Args:
            reached: Measures of these models, ``(models, measures)``; there may be none.
            ends: Low and high end of each measure; None where it follows from the models.
            cells: Number of cells along each measure.
        """
        values = np.asarray(reached, dtype=np.float64).reshape(-1, len(ends))
        found = [_span(values[:, place], *pair) for place, pair in enumerate(ends)]
        return cls(tuple(low for low, _ in found), tuple(high for _, high in found), cells)

    def cell(self, measures: ArrayLike) -> Cell:
        """The cell of a point, ``(measures,)``."""
        low, high = np.array(self.low), np.array(self.high)
        places = np.floor((np.asarray(measures, dtype=np.float64) - low) / (high - low) * self.cells + _ROUNDING)
        return tuple(np.clip(places, 0, self.cells - 1).astype(int).tolist())

    def edges(self, measure: int) -> NDArray[np.float64]:
        """The edges of the cells along a measure, ``(cells + 1,)``."""
        return np.linspace(self.low[measure], self.high[measure], self.cells + 1)

    def over(self, measures: Sequence[int]) -> Grid:
        """The grid over some of the measures."""
        return Grid(tuple(self.low[k] for k in measures), tuple(self.high[k] for k in measures), self.cells)


def elites(grid: Grid, measures: ArrayLike, values: ArrayLike) -> dict[Cell, int]:
    """The row of each cell's elite: the least value, of equal ones the first.

    Args:
        grid: The cells.
        measures: ``(n, measures)``.
        values: Less is better, ``(n,)``.
    """
    found: dict[Cell, int] = {}
    scores = np.asarray(values, dtype=np.float64)
    for row, point in enumerate(np.asarray(measures, dtype=np.float64).reshape(len(scores), len(grid))):
        cell = grid.cell(point)
        if cell not in found or scores[row] < scores[found[cell]]:
            found[cell] = row
    return found


def spread(cells: Sequence[Cell], values: ArrayLike, limit: int) -> list[int]:
    """Chooses elites that lie far apart and are good: the best, and the best of each region around those furthest off.

    The centres of the regions are chosen one after the other, the best elite first, then whatever lies furthest from
    those chosen; each elite belongs to the nearest centre.

    Args:
        cells: The cell of each elite.
        values: Less is better, ``(n,)``; of equal ones the first counts as better.
        limit: How many to take at most.

    Returns:
        Rows, ascending.
    """
    if len(cells) <= limit:
        return list(range(len(cells)))
    if limit < 1:
        return []
    scores, places = np.asarray(values, dtype=np.float64), np.array(cells, dtype=np.float64)
    centres = [int(scores.argmin())]
    gaps = np.linalg.norm(places - places[centres[0]], axis=1)
    region = np.zeros(len(cells), dtype=int)
    while len(centres) < limit:
        centres.append(int(gaps.argmax()))
        own = np.linalg.norm(places - places[centres[-1]], axis=1)
        region = np.where(own < gaps, len(centres) - 1, region)
        gaps = np.minimum(gaps, own)
    best = [min(np.flatnonzero(region == number).tolist(), key=scores.__getitem__) for number in range(limit)]
    return sorted(best)


def views(n_obj: int, n_measures: int) -> list[tuple[int, ...]]:
    """The measures of each archive: one archive over all measures, or one for each objective over the others' measures.

    Args:
        n_obj: Number of objectives; where there are several, measure ``k`` is objective ``k``.
        n_measures: Number of measures.
    """
    if n_obj == 1:
        return [tuple(range(n_measures))]
    return [tuple(k for k in range(n_measures) if k != own) for own in range(n_obj)]


def _span(values: NDArray[np.float64], low: float | None, high: float | None) -> tuple[float, float]:
    least, most = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    margin = _MARGIN * (most - least) if len(values) else 0.0
    begin = least - margin if low is None else low
    end = most + margin if high is None else high
    if end > begin:
        return begin, end
    # All models alike, or beyond the one end that is given.
    return (
        (begin, begin + 1.0) if low is not None else (end - 1.0, end) if high is not None else (begin - 0.5, end + 0.5)
    )
