"""The order of an asynchronous run: which candidate was asked when, and whose evaluation came then.

The lines of the records are that order. An ask may be noted after its job has started, but always before what came of
it; an evaluation comes where its record stands, so a kill between the two leaves nothing to guess. Whatever is lost
from the end is lost of both, and a run that goes on from there is one that was never further.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from evomerge.evaluation import Ask

__all__ = ["Turn", "Turns"]


@dataclass(frozen=True)
class Turn:
    """One step of an asynchronous run.

    Attributes:
        ask: The place of a candidate.
        digest: The recipe that was asked there; empty where the searcher had nothing to propose; None where this is not
            the ask, but the coming of its evaluation.
    """

    ask: Ask
    digest: str | None = None


class Turns:
    """The turns of a run, as they were read or are being made."""

    def __init__(self) -> None:
        self._asked: set[Ask] = set()
        self._turns: list[Turn] = []

    def __iter__(self) -> Iterator[Turn]:
        """All of them, in their order."""
        return iter(tuple(self._turns))

    def __len__(self) -> int:
        """How many there are."""
        return len(self._turns)

    def __contains__(self, ask: Ask) -> bool:
        """Whether a place was asked."""
        return ask in self._asked

    def asked(self, turn: Turn) -> None:
        """Takes note of an ask, once."""
        if turn.ask not in self._asked:
            self._asked.add(turn.ask)
            self._turns.append(turn)

    def came(self, ask: Ask) -> None:
        """Takes note of an evaluation's record, if the run is asynchronous and this is a candidate's."""
        if ask in self._asked:
            self._turns.append(Turn(ask))
