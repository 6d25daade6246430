"""What the repeats say together: means by population, factors of items saved, and what is worse than the plain mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.estimation.cells import LOCAL
from experiments.estimation.measures import CEILING, Measures
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
        n: Items asked; 0 for all.
        repeats: How many repeats are behind it.
        cells: The cells behind it.
        means: Measure to mean.
        errors: Measure to standard error of the mean over repeats.
    """

    part: str
    group: str
    label: str
    design: str
    n: int
    repeats: int
    cells: tuple[str, ...]
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
        own = {
            "part": self.part,
            "population": self.group,
            "label": self.label,
            "design": self.design,
            "n": self.n or None,
        }
        return {**own, "repeats": self.repeats, "populations": len(self.cells), **rounded, **errors}


def rows(units: Sequence[Unit]) -> list[Row]:
    """A row for all that was tried, by group."""
    found = []
    for part in dict.fromkeys(unit.part for unit in units):
        for group, populations in GROUPS.items():
            own = [unit for unit in units if unit.part == part and unit.population in populations]
            keys: dict[tuple[str, str, int], list[str]] = {}
            for key in dict.fromkeys(key for unit in own for key in unit.found):
                label, design, n = key.split("|")
                # A ceiling is that of all items, however many a table has.
                keys.setdefault((label, design, 0 if design == CEILING else int(n)), []).append(key)
            found += [_row(part, group, place, same, own) for place, same in keys.items()]
    return found


def shared(found: Iterable[Row]) -> list[Row]:
    """The rows that can be compared: those of the most cells among what was tried at the same n in the same design.

    A table may lack what a row needs: options to choose from, or as many items as a procedure takes.
    """
    rows = list(found)
    most: dict[tuple[str, str, str, int], int] = {}
    for row in rows:
        place = row.part, row.group, row.design, row.n
        most[place] = max(most.get(place, 0), len(row.cells))
    return [row for row in rows if len(row.cells) == most[row.part, row.group, row.design, row.n]]


def throughout(units: Iterable[Unit], part: str) -> list[Unit]:
    """The units of a part whose cells have been asked as many numbers of items as any cell."""
    own = [unit for unit in units if unit.part == part]
    sizes: dict[str, set[str]] = {}
    for unit in own:
        sizes.setdefault(unit.cell, set()).update(key.rpartition("|")[2] for key in unit.found)
    most = max(map(len, sizes.values()), default=0)
    return [unit for unit in own if len(sizes[unit.cell]) == most]


def _row(part: str, group: str, place: tuple[str, str, int], keys: Iterable[str], own: Iterable[Unit]) -> Row:
    by_cell: dict[str, list[Measures]] = {}
    for unit in own:
        for key in unit.found.keys() & set(keys):
            by_cell.setdefault(unit.cell, []).append(unit.found[key])
    label, design, n = place
    names = next(iter(by_cell.values()))[0]
    means, errors = {}, {}
    for name in names:
        values = [np.array([one[name] for one in found]) for found in by_cell.values()]
        means[name] = float(np.mean([one.mean() for one in values]))
        squares = [one.var(ddof=1) / len(one) if len(one) > 1 else 0.0 for one in values]
        errors[name] = float(np.sqrt(np.sum(squares)) / len(values))
    return Row(part, group, label, design, n, sum(map(len, by_cell.values())), tuple(by_cell), means, errors)


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
    """How a way to rank differs in tau from the plain mean on the same or as many items.

    Attributes:
        label: The way to rank.
        mean: Difference over all cells and sizes.
        least: Difference where it is worst.
        error: Standard error of that.
        cell: The cell where it is worst.
        n: Items asked there.
        below: Cells and sizes at which it is surely, by two standard errors, worse by more than the margin.
        tried: How many cells and sizes there are.
    """

    label: str
    mean: float
    least: float
    error: float
    cell: str
    n: int
    below: int
    tried: int


MARGIN = 0.02


def gap(units: Sequence[Unit], part: str, label: str, keys: Mapping[str, str]) -> Gap | None:
    """The differences of keys to others over the repeats in which both were tried, cell by cell and size by size.

    Args:
        units: The repeats.
        part: Their part.
        label: The name of what is compared.
        keys: Key to the key that it is compared with.

    Returns:
        The differences; None where nothing was tried often enough to have a standard error.
    """
    found: dict[tuple[str, int], list[float]] = {}
    for unit in units:
        if unit.part == part:
            for key, plain in keys.items():
                if key in unit.found:
                    place = unit.cell, int(key.rpartition("|")[2])
                    found.setdefault(place, []).append(unit.found[key]["tau"] - unit.found[plain]["tau"])
    means = {place: float(np.mean(values)) for place, values in found.items() if len(values) > 1}
    if not means:
        return None
    errors = {place: float(np.std(found[place], ddof=1) / np.sqrt(len(found[place]))) for place in means}
    worst = min(means, key=lambda place: means[place])
    below = sum(means[place] + 2.0 * errors[place] < -MARGIN for place in means)
    every = float(np.mean(list(means.values())))
    return Gap(label, every, means[worst], errors[worst], *worst, below, len(means))
