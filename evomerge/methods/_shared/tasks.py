"""The option ``task``: the model that a method keeps for one expert's task, instead of one model for all."""

from __future__ import annotations

from evomerge.errors import InputError
from evomerge.methods._shared.inputs import Options, TensorContext, TensorSources
from evomerge.options import Option

TASK = Option(
    None, None, int, "number of the expert, from 0, whose task the result is for; not set: one model for all",
    low=0, of_model=True,
)  # fmt: skip


def task_problems(n_models: int, options: Options) -> list[str]:
    """For :attr:`MergeMethod.count_problems`: there must be that expert."""
    return number_problems("task", n_models, options)


def number_problems(name: str, n_models: int, options: Options) -> list[str]:
    """Why an option that is the number of a model, counted from 0, does not fit so many models."""
    number = options[name]
    if number is None or number < n_models:
        return []
    return [f"option {name} is {number}, but there are {_counted(n_models)}"]


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
