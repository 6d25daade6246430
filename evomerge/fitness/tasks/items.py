"""One question of a task, as lm-eval asks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lm_eval.api.task import Task

from evomerge.fitness.inference.encoding import Encoder
from evomerge.fitness.settings import FitnessSettings
from evomerge.fitness.splits import canonical, digest, item_ids
from evomerge.fitness.tasks.gold import answer_key


@dataclass(frozen=True, eq=False)
class Item:
    """One question of a task.

    Args:
        id: Its name, from its content.
        doc: lm-eval's document.
        kind: Type of its requests, ``loglikelihood``, ``loglikelihood_rolling`` or ``generate_until``, one per request.
        arguments: Arguments of its requests, as lm-eval built them.
        repeats: How often lm-eval would ask each request.
        options: The answers to choose from; empty when there is nothing to choose.
        gold: Indices of the right options; empty when there are no options or none is right.
        target: The right answer as a text.
    """

    id: str
    doc: Any
    kind: tuple[str, ...]
    arguments: tuple[tuple[Any, ...], ...]
    repeats: int
    options: tuple[str, ...]
    gold: tuple[int, ...]
    target: str

    @property
    def description(self) -> dict[str, Any]:
        """The item as people read it: ``question``, ``options``, ``gold``."""
        # What comes before the options, or the text that is scored.
        return {"question": str(self.arguments[0][0]), "options": list(self.options), "gold": self.target}

    @property
    def content(self) -> str:
        """Hash of everything a model is shown and judged by."""
        return digest(canonical(self.arguments), canonical(self.options), canonical(self.gold), self.target)[:16]


def build_items(task: Task, name: str, settings: FitnessSettings, encoder: Encoder | None) -> dict[str, Item]:
    """Builds all items of a task, together and once: few-shot examples come from a generator that runs on.

    Args:
        task: As lm-eval made it, configured for the run.
        name: Of the task.
        settings: How prompts are made.
        encoder: Applies the chat template; ``None`` builds plain prompts.

    Returns:
        Items by id, in the order of the task.
    """
    chat = encoder.chat if encoder is not None and settings.apply_chat_template else None
    task.build_all_requests(
        system_instruction=settings.system_instruction,
        apply_chat_template=chat is not None,
        fewshot_as_multiturn=settings.fewshot_as_multiturn,
        chat_template=chat,
    )
    by_doc: dict[int, list[Any]] = {}
    for instance in task.instances:
        by_doc.setdefault(instance.doc_id, []).append(instance)
    parts = [sorted(instances, key=lambda instance: instance.idx) for instances in by_doc.values()]
    task._instances = []  # lm-eval's copies of the prompts
    ids = item_ids(name, (part[0].doc for part in parts))
    return {item: _item(task, item, part) for item, part in zip(ids, parts, strict=True)}


def _item(task: Task, item: str, instances: Sequence[Any]) -> Item:
    doc = instances[0].doc
    key = answer_key(task, doc)
    return Item(
        id=item,
        doc=doc,
        kind=tuple(instance.request_type for instance in instances),
        arguments=tuple(tuple(instance.args) for instance in instances),
        repeats=int(instances[0].repeats or 1),
        options=key.options,
        gold=key.gold,
        target=key.target,
    )
