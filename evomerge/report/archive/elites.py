"""Archives of elites: the best candidate of each cell over measures, by the scores that the search compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evomerge.analysis.diversity.grid import Cell, Grid, elites, views
from evomerge.evaluation import Evaluation, Measure, Objective
from evomerge.report.results import Results, short_name
from evomerge.report.wording import PERCENT, score

__all__ = ["ARCHIVES_FORMAT", "Archive", "Elite", "archives", "archives_json"]

ARCHIVES_FORMAT = 1
OPTIMISTIC = (
    "An elite is the best of all candidates of its cell on the search items, so these scores are optimistic, more so "
    "where more candidates came; a cell's own place is uncertain too. Behind ✓ stands the score on held-out items of "
    "an elite that was confirmed; score any other that you export on such items before you believe it."
)


@dataclass(frozen=True)
class Elite:
    """The best candidate of a cell.

    Attributes:
        name: What `evomerge export` knows it by, ``cell:3-7``: places along each measure, from 1.
        cell: The same from 0.
        digest: Its recipe's digest.
        quality: Its score of the objective on the search items, in natural units.
        measures: Its measures, in natural units.
        selection: Its score of the objective on selection items; None where it was not compared there.
        held_out: Its score of the objective on held-out items; None where it was not confirmed.
    """

    name: str
    cell: Cell
    digest: str
    quality: float
    measures: tuple[float, ...]
    held_out: float | None
    selection: float | None = None


@dataclass(frozen=True)
class Archive:
    """An archive of elites.

    Attributes:
        objective: What elites are the best in.
        unit: The unit of its scores.
        measures: What the archive is spread over.
        units: The unit of each.
        grid: The cells.
        elites: One of each cell that a candidate reached, by cell.
        baselines: Short name to the cell of base, experts and uniform average.
    """

    objective: Objective
    unit: str
    measures: tuple[Measure, ...]
    units: tuple[str, ...]
    grid: Grid
    elites: tuple[Elite, ...]
    baselines: Mapping[str, Cell]

    @property
    def cells(self) -> int:
        """Number of cells, empty ones included."""
        return self.grid.cells ** len(self.grid)

    @property
    def confirmed(self) -> int:
        """Number of elites that were scored on held-out items."""
        return sum(elite.held_out is not None for elite in self.elites)

    @property
    def best(self) -> Elite | None:
        """The elite with the best score."""
        sign = 1.0 if self.objective.higher_is_better else -1.0
        return max(self.elites, key=lambda elite: sign * elite.quality, default=None)

    @property
    def lattice(self) -> list[list[Elite | None]]:
        """Rows of cells, the second measure's highest first; of further measures the best elite of all their cells."""
        sign = 1.0 if self.objective.higher_is_better else -1.0
        shown: dict[tuple[int, int], Elite] = {}
        for elite in self.elites:
            place = (elite.cell[0], elite.cell[1] if len(elite.cell) > 1 else 0)
            if place not in shown or sign * elite.quality > sign * shown[place].quality:
                shown[place] = elite
        rows = range(self.grid.cells if len(self.grid) > 1 else 1)
        return [[shown.get((column, row)) for column in range(self.grid.cells)] for row in reversed(rows)]

    def share(self, elite: Elite) -> float:
        """Where an elite's score lies between the worst, 0, and the best, 1, of the archive."""
        found = [other.quality for other in self.elites]
        span = max(found) - min(found)
        place = (elite.quality - min(found)) / span if span else 1.0
        return place if self.objective.higher_is_better else 1.0 - place

    def range(self, measure: int, cell: int) -> str:
        """The scores that a cell stands for along a measure, in words; the outermost ones hold what lies beyond too."""
        low, high = self.grid.edges(measure)[[cell, cell + 1]].tolist()
        return f"{score(low, self.units[measure])} to {score(high, self.units[measure])}"


def archives(results: Results) -> list[Archive]:
    """The archives of a run; none where its searcher kept none, or nothing was scored yet.

    Args:
        results: The run's records.
    """
    measures = tuple(Measure.from_json(data) for data in results.store.manifest.get("measures", ()))
    if not measures:
        return []
    known = {name: e for name in results.fixed if (e := results.baseline(name, "search")) and e.error is None}
    reached = [[measure.value(e.metrics) for measure in measures] for e in known.values()]
    cells = int(results.store.manifest["cells"])
    grid = Grid.spanning(reached, [(measure.low, measure.high) for measure in measures], cells)
    found = [e for e in results.candidates if results.scored(e) and results.feasible(e)]
    points = np.array([[m.value(results.metrics(e)) for m in measures] for e in found]).reshape(-1, len(measures))
    units = [
        _unit(results, measure, [*points[:, k], *(row[k] for row in reached)]) for k, measure in enumerate(measures)
    ]
    values = results.minimised(found)
    made = []
    for number, axes in enumerate(views(len(results.objectives), len(measures))):
        objective, own = results.objectives[number], grid.over(axes)
        prefix = "cell:" if len(results.objectives) == 1 else f"cell:{number + 1}:"
        rows = elites(own, points[:, axes], values[:, number])
        members = [
            _elite(results, prefix, cell, found[row], objective, points[row, axes].tolist())
            for cell, row in rows.items()
        ]
        at = {short_name(name): own.cell(np.array(row)[list(axes)]) for name, row in zip(known, reached, strict=True)}
        shown, theirs = tuple(measures[k] for k in axes), tuple(units[k] for k in axes)
        ordered = tuple(sorted(members, key=lambda elite: elite.cell))
        made.append(Archive(objective, results.unit(objective), shown, theirs, own, ordered, at))
    return made


def _elite(
    results: Results, prefix: str, cell: Cell, evaluation: Evaluation, objective: Objective, point: Sequence[float]
) -> Elite:
    fresh: dict[str, float | None] = {}
    for split in ("selection", "test"):
        found = results.store.lookup(evaluation.digest, split)
        scored = found is not None and results.scored(found)
        fresh[split] = objective.value(results.metrics(found)) if found is not None and scored else None
    name = prefix + "-".join(str(place + 1) for place in cell)
    quality = objective.value(results.metrics(evaluation))
    return Elite(name, cell, evaluation.digest, quality, tuple(point), fresh["test"], fresh["selection"])


def _unit(results: Results, measure: Measure, values: Sequence[float]) -> str:
    """The unit of a measure: an objective's of the same metrics, else per cent where all scores lie in [0, 1]."""
    for objective in results.objectives:
        if objective.terms == measure.terms:
            return results.unit(objective)
    return PERCENT if all(0.0 <= value <= 1.0 for value in values) else ""


def archives_json(found: Sequence[Archive]) -> dict[str, Any]:
    """Archives as a JSON object: grids, and of every elite its cell, recipe and scores."""
    return {
        "format": ARCHIVES_FORMAT,
        "scores": "search items; optimistic",
        "archives": [
            {
                "objective": archive.objective.to_json(),
                "measures": [measure.to_json() for measure in archive.measures],
                "grid": {"low": archive.grid.low, "high": archive.grid.high, "cells": archive.grid.cells},
                "elites": [
                    {
                        "name": elite.name,
                        "cell": elite.cell,
                        "digest": elite.digest,
                        "quality": elite.quality,
                        "measures": elite.measures,
                        "selection": elite.selection,
                        "held_out": elite.held_out,
                    }
                    for elite in archive.elites
                ],
                "baselines": dict(archive.baselines),
            }
            for archive in found
        ],
    }
