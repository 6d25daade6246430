"""The record of one evaluation, as the store keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evomerge.evaluation.outcome import Failure

SPLITS = ("search", "selection", "test")


@dataclass(frozen=True)
class ResponseRef:
    """Where an evaluation's responses lie.

    Attributes:
        file: File name inside the run's ``responses`` folder.
        start: First byte.
        length: Number of bytes.
    """

    file: str
    start: int
    length: int


@dataclass(frozen=True)
class Evaluation:
    """One recipe scored on one split, or failed at it.

    Attributes:
        digest: The recipe's digest.
        name: ``base``, ``expert:LABEL`` or ``uniform`` for baselines; None for searched candidates.
        recipe: The recipe as JSON.
        metrics: Metric key to score; empty on failure.
        error: The failure, or None.
        split: One of :data:`SPLITS`.
        batch: Which ask it belongs to; 0 holds the baselines.
        index: Its place in the batch.
        seconds: Wall seconds under ``merge`` and ``score``.
        items: Number of items scored.
        responses: Where its per-item responses lie; None on failure.
    """

    digest: str
    recipe: Mapping[str, Any]
    split: str
    batch: int
    index: int
    name: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: Failure | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    items: int = 0
    responses: ResponseRef | None = None

    @property
    def order(self) -> tuple[int, int, int]:
        """The key that records are folded by."""
        return SPLITS.index(self.split), self.batch, self.index

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object, in the order that people look for them."""
        ref = self.responses
        return {
            "digest": self.digest,
            "name": self.name,
            "split": self.split,
            "batch": self.batch,
            "index": self.index,
            "metrics": dict(self.metrics),
            "error": self.error.to_json() if self.error else None,
            "items": self.items,
            "seconds": dict(self.seconds),
            "recipe": dict(self.recipe),
            "responses": {"file": ref.file, "start": ref.start, "length": ref.length} if ref else None,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Evaluation:
        """Reads what :meth:`to_json` wrote."""
        error, ref = data.get("error"), data.get("responses")
        return cls(
            digest=data["digest"],
            recipe=data["recipe"],
            split=data["split"],
            batch=int(data["batch"]),
            index=int(data["index"]),
            name=data.get("name"),
            metrics=data["metrics"],
            error=Failure(error["kind"], error["message"]) if error else None,
            seconds=data["seconds"],
            items=int(data["items"]),
            responses=ResponseRef(ref["file"], ref["start"], ref["length"]) if ref else None,
        )
