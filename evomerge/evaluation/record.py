"""The record of one evaluation, and beside it how it came about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from sys import intern
from typing import Any

from evomerge.evaluation.ask import Ask
from evomerge.evaluation.outcome import Failure

RECOMMENDED = "recommended"  # stands where the parents of a proposal are named


@dataclass(frozen=True, slots=True)
class ToldValues:
    """The values that the searcher was told of an evaluation.

    Attributes:
        F: Objectives to minimise.
        G: Constraints, met where they are 0 or less; the last says whether the candidate could be scored.
        se: Standard errors of ``F`` where they were told, else None.
    """

    F: tuple[float, ...]
    G: tuple[float, ...]
    se: tuple[float, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields that say something, as a JSON object."""
        data: dict[str, Any] = {"F": list(self.F), "G": list(self.G)}
        return data if self.se is None else {**data, "se": list(self.se)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ToldValues:
        """Reads what :meth:`to_json` wrote."""
        se = data.get("se")
        return cls(tuple(data["F"]), tuple(data["G"]), tuple(se) if se is not None else None)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A recipe's responses to the items of one ask, folded into metrics; or its failure.

    It holds what is the same however often the run is repeated; who computed it, when and where is its `Provenance`.

    Attributes:
        digest: The recipe's digest.
        recipe: The recipe as JSON.
        ask: Where in the run it was asked.
        name: ``base``, ``expert:LABEL``, ``uniform`` or ``scaled:SCALE`` for baselines, of equal ones the first; None
            for searched candidates.
        metrics: Metric key to score; empty on failure.
        error: The failure, or None.
        items: Number of items asked.
        item_set: Digest of the set of items asked.
        variant: The form the model was served in, see `Job`.
        probabilities: Task to the inclusion probability of each of its items; None where all are 1.
        parents: Ids of the proposals that it descends from; ``recommended:N`` of what the searcher proposed at no time
            but recommended after ``N`` batches.
        told: The values that the searcher was told; None before that, and for what no searcher is told.
    """

    digest: str
    recipe: Mapping[str, Any]
    ask: Ask
    name: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: Failure | None = None
    items: int = 0
    item_set: str = ""
    variant: str = ""
    probabilities: Mapping[str, tuple[float, ...]] | None = None
    parents: tuple[str, ...] = ()
    told: ToldValues | None = None

    @property
    def split(self) -> str:
        """The split that the items belong to."""
        return self.ask.split

    @property
    def recommended(self) -> bool:
        """Whether the searcher did not propose it but recommended it at the end."""
        return any(parent.startswith(f"{RECOMMENDED}:") for parent in self.parents)

    @property
    def batch(self) -> int:
        """The batch it was asked in."""
        return self.ask.batch

    @property
    def index(self) -> int:
        """Its place in the batch."""
        return self.ask.index

    @property
    def order(self) -> tuple[int, int, int, int]:
        """The key that evaluations are sorted by."""
        return self.ask.order

    def to_json(self) -> dict[str, Any]:
        """All fields but the recipe as a JSON object, in the order that people look for them."""
        chances = self.probabilities
        return {
            "digest": self.digest,
            "variant": self.variant,
            "name": self.name,
            **self.ask.to_json(),
            "metrics": dict(self.metrics),
            "error": self.error.to_json() if self.error else None,
            "items": self.items,
            "item_set": self.item_set,
            "probabilities": {task: list(row) for task, row in chances.items()} if chances is not None else None,
            "told": self.told.to_json() if self.told else None,
            "parents": list(self.parents),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], recipe: Mapping[str, Any] | None = None) -> Evaluation:
        """Reads what :meth:`to_json` wrote, with the recipe that it left out; without one, ``data`` holds it."""
        error, chances, told = data.get("error"), data.get("probabilities"), data.get("told")
        return cls(
            digest=data["digest"],
            recipe=data["recipe"] if recipe is None else recipe,
            ask=Ask.from_json(data),
            name=data.get("name"),
            metrics=_shared(data["metrics"]),
            error=Failure(error["kind"], error["message"]) if error else None,
            items=int(data["items"]),
            item_set=_one(data.get("item_set", "")),
            variant=data.get("variant", ""),
            probabilities={task: tuple(row) for task, row in chances.items()} if chances is not None else None,
            parents=tuple(data.get("parents", ())),
            told=ToldValues.from_json(told) if told else None,
        )


@dataclass(frozen=True, slots=True)
class ResponseRef:
    """A piece of a file of responses.

    Attributes:
        file: File name inside the run's ``responses`` folder.
        start: First byte.
        length: Number of bytes.
    """

    file: str
    start: int
    length: int

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object."""
        return {"file": self.file, "start": self.start, "length": self.length}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ResponseRef:
        """Reads what :meth:`to_json` wrote."""
        return cls(_one(data["file"]), int(data["start"]), int(data["length"]))


@dataclass(frozen=True, slots=True)
class Provenance:
    """How an evaluation came about: what may differ when the run is repeated.

    Attributes:
        writer: The process that kept it.
        attempt: How often the job was started until it had an outcome; 0 where no job was needed.
        worker: Where the job ran, as the executor names it.
        seconds: Wall seconds under ``merge`` and ``score``.
        answered: Digest of the set of items that were answered for it; other items had been answered before.
        responses: Where these answers lie; None where there are none.
    """

    writer: str = ""
    attempt: int = 0
    worker: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    answered: str = ""
    responses: ResponseRef | None = None

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object."""
        return {
            "writer": self.writer,
            "attempt": self.attempt,
            "worker": self.worker,
            "seconds": dict(self.seconds),
            "answered": self.answered,
            "responses": self.responses.to_json() if self.responses else None,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Provenance:
        """Reads what :meth:`to_json` wrote."""
        ref = data.get("responses")
        return cls(
            writer=_one(data["writer"]),
            attempt=int(data["attempt"]),
            worker=_one(data.get("worker", "")),
            seconds=_shared(data.get("seconds", {})),
            answered=_one(data.get("answered", "")),
            responses=ResponseRef.from_json(ref) if ref else None,
        )


def _one(text: str) -> str:
    """The one copy of a text that many records name; what is none is left to whoever checks the record."""
    return intern(text) if isinstance(text, str) else text


def _shared(values: Mapping[str, float]) -> dict[str, float]:
    """The same values, of each key the one copy."""
    return {_one(key): value for key, value in values.items()}
