"""The records of a run in memory: by ask, by recipe, and in the order of an asynchronous run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from evomerge.evaluation import Ask
from evomerge.store.records import Note, Record
from evomerge.store.turns import Turns

__all__ = ["Recorded"]


class Recorded:
    """Records by ask.

    Attributes:
        turns: The order of asks and evaluations, if the run is asynchronous.
    """

    def __init__(self) -> None:
        self.turns = Turns()
        self._records: dict[Ask, Record] = {}
        self._asks: dict[tuple[str, str], list[Ask]] = {}  # of a recipe and variant

    def __contains__(self, ask: Ask) -> bool:
        """Whether an ask has its record."""
        return ask in self._records

    def __getitem__(self, ask: Ask) -> Record:
        """The record of an ask."""
        return self._records[ask]

    def __iter__(self) -> Iterator[Record]:
        """All records, in the order in which they were kept."""
        return iter(self._records.values())

    def get(self, ask: Ask) -> Record | None:
        """The record of an ask, or None."""
        return self._records.get(ask)

    def of_recipe(self, digest: str, variant: str) -> list[Record]:
        """The records of a recipe in a variant."""
        return [self._records[ask] for ask in self._asks.get((digest, variant), ())]

    def add(self, record: Record) -> bool:
        """Adds a record; whether its ask had none."""
        evaluation = record.evaluation
        if evaluation.ask in self._records:
            return False
        self._records[evaluation.ask] = record
        self.turns.came(evaluation.ask)
        self._asks.setdefault((evaluation.digest, evaluation.variant), []).append(evaluation.ask)
        return True

    def take(self, note: Note) -> None:
        """Takes in what a searcher was told, and asked."""
        for ask, values in note.told.items():
            record = self._records.get(ask)
            if record is not None:
                self._records[ask] = replace(record, evaluation=replace(record.evaluation, told=values))
        for turn in note.asked:
            self.turns.asked(turn)
