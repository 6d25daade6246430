"""The records of a run in memory: by ask, by recipe, and in the order of an asynchronous run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from evomerge.evaluation import Ask, ResponseRef
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
        self._asks: dict[str, dict[str, tuple[Ask, ...]]] = {}  # by variant and recipe

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
        return [self._records[ask] for ask in self._asks.get(variant, {}).get(digest, ())]

    def answers(self, digest: str, variant: str) -> list[tuple[str, ResponseRef]]:
        """Where the responses of a recipe in a variant lie, each with the digest of the items that they answer."""
        found = (record.provenance for record in self.of_recipe(digest, variant))
        return [(how.answered, how.responses) for how in found if how.responses is not None]

    def add(self, record: Record) -> None:
        """Adds a record, unless its ask has one."""
        evaluation = record.evaluation
        if evaluation.ask in self._records:
            return
        self._records[evaluation.ask] = record
        self.turns.came(evaluation.ask)
        asks = self._asks.setdefault(evaluation.variant, {})
        asks[evaluation.digest] = (*asks.get(evaluation.digest, ()), evaluation.ask)

    def take(self, note: Note) -> None:
        """Takes in what a searcher was told, and asked."""
        for ask, values in note.told.items():
            record = self._records.get(ask)
            if record is not None:
                self._records[ask] = replace(record, evaluation=replace(record.evaluation, told=values))
        for turn in note.asked:
            self.turns.asked(turn)
