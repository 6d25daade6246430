"""`Ask`: the key of an evaluation: split, batch, index, rung."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SPLITS = ("search", "selection", "test")


@dataclass(frozen=True, slots=True)
class Ask:
    """The place of one ask in a run; no two asks of a run share one.

    Attributes:
        split: The split that the items belong to, one of :data:`SPLITS`.
        batch: Which batch of the split it belongs to; batch 0 of the search holds the baselines.
        index: Its place in the batch.
        rung: How often the recipe had been asked other items of this batch before.
    """

    split: str
    batch: int
    index: int
    rung: int = 0

    def __post_init__(self) -> None:
        """Refuses a split that no reader knows."""
        if self.split not in SPLITS:
            raise ValueError(f"unknown split {self.split!r}; known are {', '.join(SPLITS)}")

    @property
    def order(self) -> tuple[int, int, int, int]:
        """The key that evaluations are sorted by: splits as they follow each other, then batch, index and rung."""
        return SPLITS.index(self.split), self.batch, self.index, self.rung

    def __str__(self) -> str:
        """For people: ``number 3 of batch 2 (search)``."""
        rung = f", rung {self.rung}" if self.rung else ""
        return f"number {self.index} of batch {self.batch}{rung} ({self.split})"

    def to_json(self) -> dict[str, Any]:
        """The fields that a record holds."""
        return {"split": self.split, "batch": self.batch, "index": self.index, "rung": self.rung}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Ask:
        """Reads what :meth:`to_json` wrote."""
        return cls(data["split"], int(data["batch"]), int(data["index"]), int(data.get("rung", 0)))
