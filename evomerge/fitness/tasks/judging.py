"""How a task judges answers, as a digest: two runs whose digests differ have scores that cannot be compared."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lm_eval.api.group import Group
from lm_eval.api.task import Task

# Where data lie and how a task is listed. What the data say is in the content of the items, wherever they lie.
_NOT_JUDGING = frozenset(
    {"custom_dataset", "dataset_path", "dataset_name", "dataset_kwargs", "task_alias", "tag", "metadata"}
)


def task_digest(task: Task) -> str:
    """SHA-256 over a task's configuration and the code that it names.

    The same in every process and on every machine: functions stand for the bytes of their files, never for addresses.

    Args:
        task: As lm-eval loaded it, configured for the run.
    """
    fields = {name: value for name, value in _fields(task.config).items() if name not in _NOT_JUDGING}
    return _sha256([_portable(type(task)), _portable(fields)])


def group_digest(group: Group) -> str:
    """SHA-256 over the members of a group and how their scores are put together.

    Args:
        group: As lm-eval loaded it.
    """
    rules = group.aggregate_metric_list
    return _sha256([sorted(task.task_name for task in group.get_all_tasks()), _portable(rules)])


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _portable(value: Any) -> Any:
    """A value as JSON that says nothing of this process or this machine."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _portable(_fields(value))
    if isinstance(value, Mapping):
        return {str(key): _portable(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_portable(entry) for entry in value]
    if isinstance(value, set | frozenset):
        return sorted((_portable(entry) for entry in value), key=lambda entry: json.dumps(entry, sort_keys=True))
    if isinstance(value, functools.partial):
        return [_portable(value.func), _portable(value.args), _portable(value.keywords)]
    return _code(value if inspect.isroutine(value) or isinstance(value, type) else type(value))


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _code(thing: Any) -> list[str]:
    """Qualified name of a function or class, and SHA-256 of the file that defines it, where it has one."""
    thing = inspect.unwrap(thing)
    name = str(getattr(thing, "__qualname__", type(thing).__qualname__))
    try:
        source = Path(_file(thing)).read_bytes()
    except (TypeError, OSError):
        return [name]  # built in, or from no file
    return [name, hashlib.sha256(source).hexdigest()]


def _file(thing: Any) -> str:
    """Where a function or class is defined.

    Raises:
        TypeError: If it is from no file.
    """
    try:
        return inspect.getfile(thing)
    except TypeError:
        # Python finds the file of a class by its module, which a task's own module need not be registered for.
        for part in vars(thing).values() if isinstance(thing, type) else ():
            if inspect.isfunction(part):
                return inspect.getfile(part)
        raise
