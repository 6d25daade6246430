"""Measures: what an archive of elites is spread over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from evomerge.evaluation.objective import Objective

__all__ = ["Measure", "keys_of"]


@dataclass(frozen=True)
class Measure:
    """One score by which candidates are told apart rather than ranked: a metric, or a weighted sum of metrics.

    Attributes:
        label: How the user wrote it.
        terms: ``(weight, metric key)`` pairs.
        low: Where the archive's grid begins; None: it follows from what the baselines reach.
        high: Where the grid ends; None: the same.
    """

    label: str
    terms: tuple[tuple[float, str], ...]
    low: float | None = None
    high: float | None = None

    def value(self, metrics: Mapping[str, float]) -> float:
        """The score in natural units.

        Raises:
            KeyError: If a metric was not recorded.
        """
        return sum(weight * metrics[key] for weight, key in self.terms)

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object."""
        terms = [[weight, key] for weight, key in self.terms]
        return {"label": self.label, "terms": terms, "low": self.low, "high": self.high}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Measure:
        """Reads what :meth:`to_json` wrote."""
        terms = tuple((float(weight), str(key)) for weight, key in data["terms"])
        low, high = (None if data[end] is None else float(data[end]) for end in ("low", "high"))
        return cls(data["label"], terms, low, high)


def keys_of(objectives: Iterable[Objective], measures: Iterable[Measure]) -> list[str]:
    """The metrics that objectives and measures are made of."""
    found = [key for objective in objectives for _, key in objective.terms]
    return found + [key for measure in measures for _, key in measure.terms]
