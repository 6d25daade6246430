"""Right answers to code problems, where their data hold one, as models would write them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from lm_eval.api.task import Task

from evomerge.fitness.tasks.code import declaration
from evomerge.fitness.tasks.items import Item

# Fields of the data sets HumanEval and MBPP, and of those made after them.
_FIELDS = ("canonical_solution", "code")


def solution_forms(task: Task) -> Callable[[Item], list[str]]:
    """A function that gives texts of an item's right answer, of which one passes if the item is sound, the plain first.

    Args:
        task: A task whose answers are run. The target of one that is declared over a JSONL file is its right answer;
            that of others is their tests, and the answer in a field by which it is known. Where there is none, there
            are no texts.
    """
    judge: Any = task.get_config("process_results")
    if isinstance(judge, functools.partial) and judge.func is declaration.judge:
        return lambda item: [item.target]
    return _forms


def _forms(item: Item) -> list[str]:
    doc = item.doc if isinstance(item.doc, Mapping) else {}
    text = next((doc[name] for name in _FIELDS if isinstance(doc.get(name), str)), None)
    # Some tasks open a block of Markdown in the question, and take the answer from what ends it.
    return [] if text is None else [text, f"\n{text}\n```", f"```python\n{text}\n```"]
