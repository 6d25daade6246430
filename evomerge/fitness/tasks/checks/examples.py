"""Checks the examples that prompts show: there are enough of them, and they are not the items that are scored."""

from __future__ import annotations

from typing import Any

from lm_eval.api.samplers import ContextSampler, FirstNSampler
from lm_eval.api.task import Task

# Training splits may have hundreds of thousands of rows, of which prompts show a few; reading one takes 0.2 ms.
MOST_READ = 10_000


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
    there, spare, beside = len(pool(task)), 0, ""
    if there and _excepts_item(task) and drawn_from_items(task):
        spare, beside = 1, ", one of them the item itself"
    elif there and _excepts_item(task) and type(sampler) is ContextSampler:
        spare, beside = 1, "; lm-eval draws one more than it shows"
    if wanted <= there - spare:
        return None
    return (
        f"task {name!r} asks for {wanted} examples, there are {there}{beside}; set fitness.num_fewshot to "
        f"{max(0, there - spare)} or less"
    )


def drawn_from_items(task: Task) -> bool:
    """Whether examples come from the split whose items are scored."""
    shots = getattr(task, "fewshot_cfg", None)
    if shots is None or (shots.split is None and shots.samples):
        return False
    training, validation, test = (task.get_config(f"{name}_split") for name in ("training", "validation", "test"))
    return bool((shots.split or training or validation or test) == (test or validation))


def _excepts_item(task: Task) -> bool:
    """Whether lm-eval leaves the item that is asked out of the examples, which it settles by the names of the splits.

    It does so too where neither split is named, as in a task with ``training_split`` and ``validation_split`` alone.
    """
    shots = getattr(task, "fewshot_cfg", None)
    return shots is not None and shots.split == task.get_config("test_split")


def warning(task: Task) -> str | None:
    """Predicate of a sentence about a task whose examples are items that are scored, or ``None``."""
    if not task.get_config("num_fewshot") or not drawn_from_items(task):
        return None
    more = "" if _excepts_item(task) else "; an item may be shown its own answer: name another fewshot_split"
    return f"draws its examples from the items that it is scored on{more}"
