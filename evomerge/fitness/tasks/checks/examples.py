"""Checks the examples that prompts show: there are enough of them, and they are not the items that are scored."""

from __future__ import annotations

from typing import Any

from lm_eval.api.samplers import ContextSampler, FirstNSampler
from lm_eval.api.task import Task


def pool(task: Task) -> list[Any]:
    """Documents that examples are drawn from; empty where prompts show none."""
    sampler = getattr(task, "sampler", None)
    return list(getattr(sampler, "df", None) or []) if task.get_config("num_fewshot") else []


def problem(task: Task, name: str) -> str | None:
    """Refuses a task that asks for more examples than there are.

    Args:
        task: As lm-eval made it, its number of examples set.
        name: Of the task.
    """
    wanted, sampler = int(task.get_config("num_fewshot") or 0), getattr(task, "sampler", None)
    if not wanted or type(sampler) not in (ContextSampler, FirstNSampler):
        return None
    there = len(pool(task))
    itself = there and drawn_from_items(task)  # lm-eval never shows an item itself
    if wanted <= there - itself:
        return None
    beside = ", one of them the item itself" if itself else ""
    return (
        f"task {name!r} asks for {wanted} examples, there are {there}{beside}; set fitness.num_fewshot to "
        f"{max(0, there - itself)} or less"
    )


def drawn_from_items(task: Task) -> bool:
    """Whether examples come from the split whose items are scored, each item excepted from its own examples."""
    shots = getattr(task, "fewshot_cfg", None)
    return shots is not None and shots.split == task.get_config("test_split")


def warning(task: Task) -> str | None:
    """Predicate of a sentence about a task whose examples are items that are scored, or ``None``."""
    shots = getattr(task, "fewshot_cfg", None)
    if not task.get_config("num_fewshot") or shots is None or (shots.split is None and shots.samples):
        return None
    training, validation, test = (task.get_config(f"{name}_split") for name in ("training", "validation", "test"))
    drawn_from = shots.split or training or validation or test
    if drawn_from != (test or validation):
        return None
    more = "" if shots.split else "; an item may be shown its own answer: name a fewshot_split"
    return f"draws its examples from the items that it is scored on{more}"
