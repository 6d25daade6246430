"""Results of single repeats, kept as soon as they are there, so that the study goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evomerge.executors._shared.response_table import read_table
from experiments import json_lines
from experiments.estimation import campaign, choosing, ranking, smooth
from experiments.estimation.cells import LOCAL, PROBES, TARGETS, Cell, cells, ranked
from experiments.estimation.measures import Measures

__all__ = ["PARTS", "Population", "Unit", "record"]

Trial = Callable[[Cell, int], Iterable[tuple[str, Measures]]]
PARTS: dict[str, Trial] = {
    "ranking": ranking.trial,
    "choosing": choosing.trial,
    "smooth": smooth.trial,
    "campaign": campaign.trial,
}
ELSEWHERE = 8  # populations that are not local have one in so many of the repeats


@dataclass(frozen=True)
class Unit:
    """One repeat of one part.

    Attributes:
        part: A key of :data:`PARTS`.
        cell: Key of the cell.
        number: Of the repeat.
        found: Measures by what was tried.
    """

    part: str
    cell: str
    number: int
    found: dict[str, Measures]

    @property
    def population(self) -> str:
        """The population that was ranked."""
        return self.cell.rpartition("/")[2]

    @property
    def table(self) -> str:
        """The response table that it is of."""
        return self.cell.partition("/")[0]


@dataclass(frozen=True)
class Population:
    """What is told of a cell.

    Attributes:
        spread: Standard deviation of true scores.
        targets: Members that are ranked in a repeat.
        items: Items of its task.
    """

    spread: float
    targets: int
    items: int

    @classmethod
    def of(cls, cell: Cell) -> Population:
        """The population of a cell."""
        return cls(cell.spread, min(len(cell.members) - PROBES, TARGETS), cell.items)


def record(
    folders: Sequence[Path], work: Path, repeats: int, say: Callable[[str], None], parts: Mapping[str, Trial] = PARTS
) -> tuple[list[Unit], dict[str, Population]]:
    """All repeats, those that are missing being made now, and the population of each cell.

    Args:
        folders: Response tables.
        work: Folder with a file of JSON lines for each table.
        repeats: Of each part in all local populations together, twice those of campaigns in all tasks together.
        say: Is told how far it is.
        parts: The parts that are wanted.
    """
    work.mkdir(parents=True, exist_ok=True)
    tables = {folder.name: ranked(cells(folder.name, read_table(folder))) for folder in folders}
    numbers = _numbers([cell for found in tables.values() for cell in found], repeats)
    units = []
    for name, found in tables.items():
        file = work / f"{name}.jsonl"
        known = {(unit.part, unit.cell, unit.number): unit for unit in read(file)}
        for part, trial in parts.items():
            for cell in found:
                for number in range(numbers.get((part, cell.key), 0)):
                    unit = known.get((part, cell.key, number))
                    if unit is None:
                        unit = _rounded(Unit(part, cell.key, number, dict(trial(cell, number))))
                        json_lines.append(file, unit.__dict__)
                    units.append(unit)
                say(f"{part} {cell.key}")
    return units, {cell.key: Population.of(cell) for found in tables.values() for cell in found}


def read(file: Path) -> list[Unit]:
    """The units of a file; what a kill cut short is left out."""
    return [Unit(**entry) for entry in json_lines.read(file)]


def _rounded(unit: Unit) -> Unit:
    found = {key: {name: round(value, 5) for name, value in one.items()} for key, one in unit.found.items()}
    return Unit(unit.part, unit.cell, unit.number, found)


def _numbers(found: list[Cell], repeats: int) -> dict[tuple[str, str], int]:
    """How many repeats each cell has in each part."""
    local = [cell for cell in found if cell.population in LOCAL]
    searched = [cell for cell in found if cell.population == "search"]
    each = -(-repeats // max(len(local), 1))
    numbers = {
        (part, cell.key): each if cell.population in LOCAL else -(-each // ELSEWHERE)
        for part in ("ranking", "choosing", "smooth")
        for cell in found
    }
    return numbers | {("campaign", cell.key): -(-repeats // (2 * max(len(searched), 1))) for cell in searched}
