"""The work handed to a worker and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evomerge.evaluation.ask import Ask
from evomerge.evaluation.drafts import Drafts
from evomerge.evaluation.items import count_items
from evomerge.recipe import Recipe

# Metrics of the lengths of generated answers, beside those of the tasks; less of both is better.
TOKENS, TRUNCATED = "tokens", "truncated"
LENGTH_METRICS = (TOKENS, TRUNCATED)

ERROR_KINDS = ("oom", "nonfinite", "timeout", "invalid", "error")


@dataclass(frozen=True)
class Response:
    """The answer of a candidate to one item.

    Attributes:
        task: Task name.
        item: Item id.
        metrics: Per-item values by metric name, as the task computes them (``acc``, ``exact_match,strict-match``,
            ``gold_logprob``); metrics that aggregate pairs keep their raw pair as a list.
        logprobs: Log-likelihoods in nats, one per request of the item.
        greedy: Whether each scored continuation was the greedy one.
        texts: Generated answers as they were judged, without thinking, for generation tasks.
        truncated: Whether a generated answer reached its length limit.
        tokens: Number of tokens that were generated for each answer, its thinking included.
        ids: Token ids of each generated answer, where they are kept.
    """

    task: str
    item: str
    metrics: Mapping[str, Any]
    logprobs: tuple[float, ...] = ()
    greedy: tuple[bool, ...] = ()
    texts: tuple[str, ...] = ()
    truncated: bool = False
    tokens: tuple[int, ...] = ()
    ids: tuple[tuple[int, ...], ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Task and item: what a response of one candidate is found by."""
        return self.task, self.item

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
        if self.tokens:
            data["tokens"] = list(self.tokens)
        if self.ids:
            data["ids"] = [list(one) for one in self.ids]
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
            tuple(data.get("tokens", ())),
            tuple(tuple(one) for one in data.get("ids", ())),
        )


@dataclass(frozen=True)
class Failure:
    """The reason why a candidate has no score.

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


class Unusable(RuntimeError):
    """The process of a worker computes no more, whatever it is asked: raised by the worker, whose process must end."""


@dataclass(frozen=True)
class Job:
    """Build this recipe and ask it these items.

    Attributes:
        id: Its name, unique in a run and the same whenever the run is repeated; see :meth:`of`.
        recipe: The recipe to build.
        items: Task name to item ids. Functions of the whole model are the task ``python`` with the item ``""``.
        ask: Where in the run it is asked.
        variant: The form the model is served in: ``""`` as it is merged, or a name such as ``int4``.
        drafts: What earlier candidates answered to the items, as far as they generated text; one mapping for all jobs
            that are asked together.
    """

    id: str
    recipe: Recipe
    items: Mapping[str, tuple[str, ...]]
    ask: Ask
    variant: str = ""
    drafts: Drafts = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        items: Mapping[str, tuple[str, ...]],
        ask: Ask,
        variant: str = "",
        drafts: Drafts | None = None,
    ) -> Job:
        """A job with the id that follows from ask, recipe and variant."""
        place = f"{ask.split}-{ask.batch}-{ask.index}-{ask.rung}"
        id = "-".join([place, recipe.digest[:12], *([variant] if variant else [])])
        return cls(id, recipe, items, ask, variant, drafts if drafts is not None else {})

    @property
    def split(self) -> str:
        """The split that the items belong to."""
        return self.ask.split

    @property
    def n_items(self) -> int:
        """Number of items over all tasks; functions of the whole model are none."""
        return count_items(self.items)


@dataclass(frozen=True)
class Outcome:
    """The responses to a job, or its failure.

    Attributes:
        responses: One per item; empty on failure.
        error: The failure, or None.
        seconds: Wall seconds under ``merge`` and ``score``.
    """

    responses: tuple[Response, ...] = ()
    error: Failure | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
