"""Typed events of a search. The loop emits them and knows nothing of who listens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from evomerge.evaluation import Ask, Evaluation
from evomerge.search.criteria import Criteria
from evomerge.search.front import Front

__all__ = ["Asked", "Ended", "Event", "Failed", "Listener", "Phase", "Promoted", "Retried", "Round", "Scored", "Told"]


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        fresh: Whether it happens now; False for what a replay finds in the store.
    """

    fresh: bool = field(default=True, kw_only=True)

    @property
    def name(self) -> str:
        """Its name in ``events.jsonl``."""
        return type(self).__name__.lower()

    def to_json(self) -> dict[str, Any]:
        """The fields that ``events.jsonl`` keeps."""
        return {}


Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Phase(Event):
    """A phase begins.

    Attributes:
        phase: ``baselines``, ``search``, ``references``, ``selection`` or ``confirmation``.
        total: Evaluations there will be in this phase as far as budgets and searcher tell, or None.
        criteria: What is better and what is feasible in it; None where scores cannot be compared as they come.
    """

    phase: str
    total: int | None
    criteria: Criteria | None = None

    def to_json(self) -> dict[str, Any]:
        """Phase and total."""
        return {"phase": self.phase, "total": self.total}


@dataclass(frozen=True)
class Round(Event):
    """A further round of the search begins.

    Attributes:
        number: Its number, 2 or more.
        elites: Digests of the recipes that it merges.
    """

    number: int
    elites: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """All fields, digests shortened."""
        return {"number": self.number, "elites": [digest[:12] for digest in self.elites]}


@dataclass(frozen=True)
class Asked(Event):
    """A batch is asked.

    Attributes:
        split: The split that it is asked on.
        batch: Its number.
        recipes: How many recipes were proposed, repeats included.
        jobs: How many of them have no evaluation yet; most need a worker, some follow from earlier answers.
        asks: The asks of those that no earlier batch or rung has asked, in order: each has or gets its evaluation.
    """

    split: str
    batch: int
    recipes: int
    jobs: int
    asks: tuple[Ask, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All fields but the asks, of which the evaluations tell."""
        return {"split": self.split, "batch": self.batch, "recipes": self.recipes, "jobs": self.jobs}


@dataclass(frozen=True)
class Scored(Event):
    """A recipe has been scored.

    Attributes:
        evaluation: What came of it.
        seconds: Wall seconds under ``merge`` and ``score``.
        asked: How many items it was asked for this; those that it had answered before are not among them.
    """

    evaluation: Evaluation
    seconds: Mapping[str, float]
    asked: int = 0

    def to_json(self) -> dict[str, Any]:
        """Which recipe, where, how long, and how it failed."""
        error = self.evaluation.error
        place = {"digest": self.evaluation.digest[:12], **self.evaluation.ask.to_json()}
        found = {**place, "seconds": dict(self.seconds)}
        return found if error is None else {**found, "kind": error.kind, "message": error.message[:200]}


@dataclass(frozen=True)
class Failed(Scored):
    """A recipe could not be scored; ``evaluation.error`` says why."""


@dataclass(frozen=True)
class Retried(Event):
    """A job had to be started again, as its worker died.

    Attributes:
        job: The job's id.
        ask: Where it was asked.
        attempt: The attempt that had an outcome.
    """

    job: str
    ask: Ask
    attempt: int

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return {"job": self.job, **self.ask.to_json(), "attempt": self.attempt}


@dataclass(frozen=True)
class Told(Event):
    """The searcher has been told a batch.

    Attributes:
        batch: Its number.
        evaluations: Candidates scored in the whole search so far.
        front: The front of all of them, where scores cannot be compared as they come; else None.
    """

    batch: int
    evaluations: int
    front: Front | None = None

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return {"batch": self.batch, "evaluations": self.evaluations}


@dataclass(frozen=True)
class Promoted(Event):
    """Candidates go on to the next split.

    Attributes:
        split: The split that they are asked on next.
        digests: Which candidates.
    """

    split: str
    digests: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """All fields, digests shortened."""
        return {"split": self.split, "candidates": [digest[:12] for digest in self.digests]}


@dataclass(frozen=True)
class Ended(Event):
    """The session ends.

    Attributes:
        reason: Why: see `SearchResult.reason`; also ``failures`` and ``interrupted``.
    """

    reason: str

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return {"reason": self.reason}
