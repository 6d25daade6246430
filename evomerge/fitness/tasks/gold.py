"""The right answer of an item, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lm_eval.api.task import Task

from evomerge.errors import InputError
from evomerge.fitness.splits import canonical

LONGEST_QUESTION = 80


@dataclass(frozen=True)
class WrongAnswer:
    """A right answer that is none of the options.

    Args:
        question: Of the item.
        options: How many it has.
        answer: What the data say, as it would be written in Python.
    """

    question: str
    options: int
    answer: str


@dataclass(frozen=True)
class AnswerKey:
    """What an item's answers are compared with.

    Args:
        options: The answers to choose from; empty when there is nothing to choose.
        gold: Indices of the right options.
        target: The right answer as a text.
        wrong: What is wrong with the right answer, if anything.
    """

    options: tuple[str, ...]
    gold: tuple[int, ...]
    target: str
    wrong: WrongAnswer | None = None


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
    gold, wrong = [], None
    for entry in right if isinstance(right, list) else [right]:
        index = options.index(entry) if isinstance(entry, str) and entry in options else entry
        if isinstance(index, int) and 0 <= index < len(options):
            gold.append(index)
        else:
            question = str(target if several else task.doc_to_text(doc))
            wrong = wrong or WrongAnswer(question, len(options), repr(entry))
    return AnswerKey(options, tuple(gold), " | ".join(options[index] for index in gold), wrong)


def refuse(task: str, wrong: Sequence[WrongAnswer], total: int) -> None:
    """Refuses a task with right answers that are none of the options; its scores would be over fewer items.

    Args:
        task: Its name.
        wrong: What was found.
        total: How many items the task has.

    Raises:
        InputError: If anything was found.
    """
    if not wrong:
        return
    first = wrong[0]
    question = " ".join(first.question.split())
    if len(question) > LONGEST_QUESTION:
        question = question[: LONGEST_QUESTION - 1] + "…"
    raise InputError(
        f"task {task!r}: the right answer of {len(wrong)} of {total} items is none of their options; the first is "
        f"{question!r} with {first.options} options and the answer {first.answer}; give the text of an option, or its "
        "place counted from 0"
    )
