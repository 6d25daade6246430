"""What the repeats say together: means by population, factors of items saved, and what is worse than the plain mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.estimation.cells import LOCAL
from experiments.estimation.measures import Measures
from experiments.estimation.records import Unit

GROUPS = {"local": LOCAL, "search": ("search",), "broad": ("broad",)}
Curve = list[tuple[int, float]]


@dataclass(frozen=True)
class Row:
    """Means of measures over the cells of a group, each cell counting alike.

    Attributes:
        part: Part of the study.
        group: A key of :data:`GROUPS`.
        label: Estimator, policy, score or procedure.
        design: Common or rotating items, or what goes with the label.
        n: Items asked.
        repeats: How many repeats are behind it.
        means: Measure to mean.
        errors: Measure to standard error of the mean over repeats.
    """

    part: str
    group: str
    label: str
    design: str
    n: int
    repeats: int
    means: Measures
    errors: Measures

    def to_json(self) -> dict[str, object]:
        """The row with rounded numbers."""
        rounded = {name: round(value, 4) for name, value in self.means.items()}
        errors = {
            f"{name}_se": round(value, 4)
            for name, value in self.errors.items()
            if name in ("tau", "regret", "optimism")
        }
        own = {"part": self.part, "population": self.group, "label": self.label, "design": self.design, "n": self.n}
        return {**own, "repeats": self.repeats, **rounded, **errors}


def rows(units: Sequence[Unit]) -> list[Row]:
    """A row for all that was tried, by group."""
    found = []
    for part in dict.fromkeys(unit.part for unit in units):
        for group, populations in GROUPS.items():
            own = [unit for unit in units if unit.part == part and unit.population in populations]
            for key in dict.fromkeys(key for unit in own for key in unit.found):
                found.append(_row(part, group, key, own))
    return found


def _row(part: str, group: str, key: str, own: Iterable[Unit]) -> Row:
    by_cell: dict[str, list[Measures]] = {}
    for unit in own:
        if key in unit.found:
            by_cell.setdefault(unit.cell, []).append(unit.found[key])
    label, design, n = key.split("|")
    names = next(iter(by_cell.values()))[0]
    means, errors = {}, {}
    for name in names:
        values = [np.array([one[name] for one in found]) for found in by_cell.values()]
        means[name] = float(np.mean([one.mean() for one in values]))
        squares = [one.var(ddof=1) / len(one) if len(one) > 1 else 0.0 for one in values]
        errors[name] = float(np.sqrt(np.sum(squares)) / len(values))
    return Row(part, group, label, design, int(n), sum(map(len, by_cell.values())), means, errors)


def find(found: Iterable[Row], **wanted: object) -> list[Row]:
    """The rows with these attributes."""
    return [row for row in found if all(getattr(row, name) == value for name, value in wanted.items())]


def curve(found: Iterable[Row], measure: str = "tau", **wanted: object) -> Curve:
    """A measure by number of items."""
    return sorted((row.n, row.means[measure]) for row in find(found, **wanted))


def worth(tau: float, reference: Curve) -> tuple[float, bool]:
    """How many items the reference needs for this tau, and whether that is more than it was tried with.

    Between its points, tau is taken for linear in the logarithm of n.
    """
    sizes, values = np.array([n for n, _ in reference]), np.maximum.accumulate([value for _, value in reference])
    if tau >= values[-1]:
        return float(sizes[-1]), True
    if tau <= values[0]:
        return float(sizes[0]), False
    place = int(np.searchsorted(values, tau, side="right"))
    low, high = values[place - 1], values[place]
    share = (tau - low) / (high - low)
    return float(np.exp((1.0 - share) * np.log(sizes[place - 1]) + share * np.log(sizes[place]))), False


@dataclass(frozen=True)
class Gap:
    """How an estimator's tau differs from the plain mean's where it differs most to its disadvantage.

    Attributes:
        label: The estimator.
        n: Items asked.
        mean: Difference over all cells.
        least: Difference in the worst cell.
        error: Standard error of that.
        cell: The worst cell.
        below: Cells in which it is surely (by two standard errors) worse than the mean by more than the margin.
        cells: How many cells there are.
    """

    label: str
    n: int
    mean: float
    least: float
    error: float
    cell: str
    below: int
    cells: int


MARGIN = 0.02


def gap(units: Sequence[Unit], part: str, key: str, plain: str) -> Gap:
    """The difference in tau of two keys over the repeats in which both were tried, cell by cell."""
    by_cell: dict[str, list[float]] = {}
    for unit in units:
        if unit.part == part and key in unit.found:
            by_cell.setdefault(unit.cell, []).append(unit.found[key]["tau"] - unit.found[plain]["tau"])
    means = {cell: float(np.mean(values)) for cell, values in by_cell.items()}
    errors = {cell: _error(values) for cell, values in by_cell.items()}
    worst = min(means, key=lambda cell: means[cell])
    below = sum(means[cell] + 2.0 * errors[cell] < -MARGIN for cell in means)
    label, _, n = key.split("|")
    label = {"choosing": f"{label} items", "smooth": f"proxy: {label}"}.get(part, label)
    every = float(np.mean(list(means.values())))
    return Gap(label, int(n), every, means[worst], errors[worst], worst, below, len(means))


def _error(values: Sequence[float]) -> float:
    """Standard error of a mean; infinite for one value."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("inf")
