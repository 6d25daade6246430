"""The option ``task``: the model that a method keeps for one expert's task, instead of one model for all."""

from __future__ import annotations

from evomerge.errors import InputError
from evomerge.methods._shared.inputs import Options, TensorContext, TensorSources
from evomerge.options import Option

TASK = Option(
    None, None, int, "number of the expert, from 0, whose task the result is for; not set: one model for all", low=0
)


def task_problems(n_models: int, options: Options) -> list[str]:
    """For :attr:`MergeMethod.count_problems`: there must be that expert."""
    task = options["task"]
    return [] if task is None or task < n_models else [f"option task is {task}, but there are {_counted(n_models)}"]


def task_of(context: TensorContext, sources: TensorSources, task: int) -> int:
    """The expert's number.

    Raises:
        InputError: If the tensor is merged from fewer models, as in layers of their own.
    """
    count = len(sources.models)
    if task >= count:
        raise InputError(f"option task is {task}, but tensor {context.name!r} is merged from {_counted(count)}")
    return task


def _counted(n_models: int) -> str:
    return f"{n_models} models, which are counted from 0; set it to at most {n_models - 1}"
