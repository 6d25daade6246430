"""Objectives and constraints, in the natural units and direction of their metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evomerge.evaluation.baselines import EXPERT

_ROUNDING = 1e-9  # a bound met to within this is met: 0.1 + 0.2 is a little more than 0.3 in binary


@dataclass(frozen=True)
class Objective:
    """One number to improve: a metric, or a weighted sum of metrics.

    Attributes:
        label: How the user wrote it.
        terms: ``(weight, metric key)`` pairs; a key is ``"<task>.<metric>"``.
        higher_is_better: The natural direction. Nothing is negated before the search algorithm's own border.
    """

    label: str
    terms: tuple[tuple[float, str], ...]
    higher_is_better: bool = True

    def value(self, metrics: Mapping[str, float]) -> float:
        """The score in natural units.

        Raises:
            KeyError: If a metric was not recorded.
        """
        return sum(weight * metrics[key] for weight, key in self.terms)

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object."""
        terms = [[weight, key] for weight, key in self.terms]
        return {"label": self.label, "terms": terms, "higher_is_better": self.higher_is_better}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Objective:
        """Reads what :meth:`to_json` wrote."""
        terms = tuple((float(weight), str(key)) for weight, key in data["terms"])
        return cls(data["label"], terms, bool(data["higher_is_better"]))


@dataclass(frozen=True)
class Constraint:
    """A condition that a candidate must meet.

    Attributes:
        label: How the user wrote it, for example ``"sort.acc >= base - 0.01"``.
        metric: Metric key of the left-hand side.
        sense: ``">="`` or ``"<="``.
        bound: The right-hand side, or what is added to the score it is relative to.
        relative_to: None, ``"base"`` or ``"best_expert"``: whose score on the same items is added to ``bound``.
    """

    label: str
    metric: str
    sense: str
    bound: float
    relative_to: str | None = None

    def violation(self, metrics: Mapping[str, float], reference: float = 0.0) -> float:
        """How far the condition is missed; zero or below where it holds, rounding aside.

        Args:
            metrics: The candidate's metrics.
            reference: See :meth:`reference`.
        """
        gap = self.bound + reference - metrics[self.metric]
        missed = gap if self.sense == ">=" else -gap
        return 0.0 if 0.0 <= missed <= _ROUNDING else missed

    def reference(self, baselines: Mapping[str, Mapping[str, float]]) -> float | None:
        """The score that the bound is added to: the base's, or the best expert's in the sense of the condition.

        Args:
            baselines: Name to metrics of the baselines that were scored on the same items as the candidate.

        Returns:
            The score; 0 for an absolute bound, None where no baseline that the bound is relative to has one.
        """
        if self.relative_to is None:
            return 0.0
        wanted = [metrics for name, metrics in baselines.items() if self.refers_to(name)]
        scores = [metrics[self.metric] for metrics in wanted if self.metric in metrics]
        return (max if self.sense == ">=" else min)(scores, default=None)

    def refers_to(self, name: str) -> bool:
        """Whether a baseline of this name is one that the bound is relative to."""
        return name == self.relative_to or (self.relative_to == "best_expert" and name.startswith(EXPERT))

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object."""
        return {
            "label": self.label,
            "metric": self.metric,
            "sense": self.sense,
            "bound": self.bound,
            "relative_to": self.relative_to,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Constraint:
        """Reads what :meth:`to_json` wrote."""
        return cls(data["label"], data["metric"], data["sense"], float(data["bound"]), data.get("relative_to"))
