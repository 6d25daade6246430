"""The option ``task``: the model that a method keeps for one expert's task, instead of one model for all."""

from __future__ import annotations

from evomerge.errors import InputError
from evomerge.methods._shared.inputs import TensorContext, TensorSources
from evomerge.options import Option

TASK = Option(
    None, None, int, "number of the expert, from 0, whose task the result is for; not set: one model for all", low=0
)


def task_of(context: TensorContext, sources: TensorSources, task: int) -> int:
    """The expert's number.

    Raises:
        InputError: If the tensor is merged from fewer models.
    """
    count = len(sources.models)
    if task >= count:
        raise InputError(
            f"option task is {task}, but tensor {context.name!r} is merged from {count} models, which are counted from "
            f"0; set it to at most {count - 1}"
        )
    return task
