"""The right answer of an item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lm_eval.api.task import Task

from evomerge.fitness.splits import canonical


@dataclass(frozen=True)
class AnswerKey:
    """The standard that an item's answers are compared with.

    Args:
        options: The answers to choose from; empty when there is nothing to choose.
        gold: Indices of the right options.
        target: The right answer as a text.
    """

    options: tuple[str, ...]
    gold: tuple[int, ...]
    target: str


def answer_key(task: Task, doc: Any) -> AnswerKey:
    """Reads the right answer of a document.

    Args:
        task: Its task, as lm-eval loaded it.
        doc: The document.
    """
    target = task.doc_to_target(doc)
    if task.OUTPUT_TYPE != "multiple_choice" or task.get_config("doc_to_choice") is None:
        return AnswerKey((), (), target if isinstance(target, str) else canonical(target))
    options = tuple(str(option) for option in task.doc_to_choice(doc))
    several = bool(getattr(task, "multiple_input", 0))
    right = task.doc_to_text(doc) if several else target
    entries = right if isinstance(right, list) else [right]
    places = [options.index(entry) if isinstance(entry, str) and entry in options else entry for entry in entries]
    gold = tuple(int(place) for place in places if isinstance(place, int) and 0 <= place < len(options))
    return AnswerKey(options, gold, " | ".join(options[place] for place in gold))
