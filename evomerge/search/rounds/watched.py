"""The round that a search is in, and the seconds that later rounds take beside those of their candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from evomerge.search.events import Event, Phase, Round, Scored
from evomerge.search.rounds.settings import RoundSettings

__all__ = ["AtRound", "RoundWatch"]

_MADE_BY = 2  # candidates of a round: the first reads its elites tensor by tensor, the second keeps their models
# Merges that an elite is taken to be like until some were made: it is merged twice into new memory, hashed and written.
# A guess, which the first round of elites replaces.
_LIKE = 10


@dataclass(frozen=True)
class AtRound:
    """The round that a search is in, or was in last.

    Attributes:
        number: Its number, 1 or more.
        count: How many rounds there are.
        done: Its candidates so far.
        total: Its candidates in the end as far as budgets tell, or None.
    """

    number: int
    count: int
    done: int
    total: int | None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> AtRound:
        """The same from a JSON object."""
        total = data["total"]
        number, count, done = (int(data[name]) for name in ("number", "count", "done"))
        return cls(number, count, done, None if total is None else int(total))

    def __str__(self) -> str:
        return f"round {self.number} of {self.count}"

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object."""
        return asdict(self)


class RoundWatch:
    """Counts rounds by a search's events.

    Args:
        settings: The rounds of the search.
    """

    def __init__(self, settings: RoundSettings) -> None:
        self._settings = settings
        self._phase = Phase("", None)
        self._number = 0  # before the search
        self._total: int | None = None  # of the search
        self._candidates: set[str] = set()  # digests: one may be evaluated on several sets of items
        self._begun = 0  # candidates when the round began
        self._merges: list[float] = []  # seconds of this session's candidates
        self._missing: set[int] = set()  # rounds whose elites have no models yet
        self._longer: dict[int, float] = {}  # by how much making them delayed candidates of a round, in this session

    def __call__(self, event: Event) -> None:
        """Takes an event in."""
        if isinstance(event, Phase):
            self._phase = event
            if event.phase == "search":
                self._number, self._total = 1, event.total
                self._missing = set(range(2, self._settings.count + 1))
        elif isinstance(event, Round):
            self._number, self._begun = event.number, len(self._candidates)
        elif isinstance(event, Scored) and self._phase.phase == "search":
            self._scored(event)

    def _scored(self, event: Scored) -> None:
        self._candidates.add(event.evaluation.digest)
        if event.fresh:
            self._merges.append(seconds := event.seconds.get("merge", 0.0))
            if self._number in self._missing:  # else an earlier session has made them, and what it kept is there
                later = max(seconds - median(self._merges), 0.0)
                self._longer[self._number] = self._longer.get(self._number, 0.0) + later
        if len(self._candidates) - self._begun >= _MADE_BY:
            self._missing.discard(self._number)

    def now(self) -> AtRound | None:
        """The round; None before the search, and of one without rounds."""
        count = self._settings.count
        if count == 1 or not self._number:
            return None
        left = None if self._total is None else max(self._total - self._begun, 0)
        share = self._settings.evaluations
        limits = [limit for limit in (left, share if self._number < count else None) if limit is not None]
        return AtRound(self._number, count, len(self._candidates) - self._begun, min(limits, default=None))

    def making(self) -> tuple[float, float]:
        """Seconds that models of elites took in this session's search, and about as many as they will take."""
        if self._phase.phase != "search" or not self._merges:
            return 0.0, 0.0
        made = {number: longer for number, longer in self._longer.items() if number not in self._missing}
        count = sum(map(self._settings.wanted, made))
        each = sum(made.values()) / count if count else _LIKE * median(self._merges)
        return sum(self._longer.values()), each * sum(map(self._settings.wanted, self._missing))
