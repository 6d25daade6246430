"""The work handed to a worker and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evomerge.recipe import Recipe

ERROR_KINDS = ("oom", "nonfinite", "timeout", "invalid", "error")


@dataclass(frozen=True)
class Response:
    """What a candidate answered on one item.

    Attributes:
        task: Task name.
        item: Item id.
        metrics: Per-item values by metric name, as the task computes them (``acc``, ``exact_match,strict-match``,
            ``gold_logprob``); metrics that aggregate pairs keep their raw pair as a list.
        logprobs: Log-likelihoods in nats, one per request of the item.
        greedy: Whether each scored continuation was the greedy one.
        texts: Generated answers, for generation tasks.
        truncated: Whether a generated answer reached its length limit.
    """

    task: str
    item: str
    metrics: Mapping[str, Any]
    logprobs: tuple[float, ...] = ()
    greedy: tuple[bool, ...] = ()
    texts: tuple[str, ...] = ()
    truncated: bool = False

    def to_json(self) -> dict[str, Any]:
        """The fields that say something, as a JSON object."""
        data: dict[str, Any] = {"task": self.task, "item": self.item, "metrics": dict(self.metrics)}
        if self.logprobs:
            data["logprobs"] = list(self.logprobs)
        if self.greedy:
            data["greedy"] = [bool(value) for value in self.greedy]
        if self.texts:
            data["texts"] = list(self.texts)
        if self.truncated:
            data["truncated"] = True
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Response:
        """Reads what :meth:`to_json` wrote."""
        return cls(
            data["task"],
            data["item"],
            data["metrics"],
            tuple(data.get("logprobs", ())),
            tuple(data.get("greedy", ())),
            tuple(data.get("texts", ())),
            bool(data.get("truncated", False)),
        )


@dataclass(frozen=True)
class Failure:
    """Why a candidate has no score.

    Attributes:
        kind: One of :data:`ERROR_KINDS`.
        message: The first line is shown to people.
    """

    kind: str
    message: str

    def __post_init__(self) -> None:
        """Refuses a kind that no reader knows."""
        if self.kind not in ERROR_KINDS:
            raise ValueError(f"unknown failure kind {self.kind!r}; known are {', '.join(ERROR_KINDS)}")

    def to_json(self) -> dict[str, str]:
        """All fields as a JSON object."""
        return {"kind": self.kind, "message": self.message}


@dataclass(frozen=True)
class Job:
    """Build this recipe and ask it these items.

    Attributes:
        recipe: What to build.
        split: The split the items belong to.
        items: Task name to item ids.
    """

    recipe: Recipe
    split: str
    items: Mapping[str, tuple[str, ...]]

    @property
    def n_items(self) -> int:
        """Number of items over all tasks."""
        return sum(len(ids) for ids in self.items.values())


@dataclass(frozen=True)
class Outcome:
    """What came of a job: metrics and responses, or a failure.

    Attributes:
        metrics: Metric key to score; empty on failure.
        responses: One per item; empty on failure.
        error: The failure, or None.
        seconds: Wall seconds under ``merge`` and ``score``.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    responses: tuple[Response, ...] = ()
    error: Failure | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
