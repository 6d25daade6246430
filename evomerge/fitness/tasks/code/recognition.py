"""Tells tasks whose answers are run, before any code of theirs is imported and after."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lm_eval.api.task import Task

from evomerge.fitness.tasks.code import permission, sandbox
from evomerge.fitness.tasks.code.pass_at_k import CODE_EVAL, METRICS
from evomerge.fitness.tasks.code.stand_in import STAND_IN

_OURS = (CODE_EVAL, STAND_IN, *METRICS.values())


def declared(config: Mapping[str, Any]) -> bool:
    """Whether a task says that its answers are run, or names a metric that runs them, or code that does.

    Args:
        config: Its configuration, functions named by file and name.
    """
    named = [entry.get("metric") for entry in _entries(config, "metric_list")]
    return (
        bool(config.get("unsafe_code")) or any(name in METRICS for name in named) or any(map(_mentions, _texts(config)))
    )


def problem(config: Mapping[str, Any], setting: str) -> str | None:
    """Ends a sentence about a task whose answers would be run and may or can not be; None for any other task.

    Args:
        config: As in :func:`declared`.
        setting: ``fitness.code``.
    """
    return problem_of_setting(setting) if declared(config) else None


def problem_of_setting(setting: str) -> str | None:
    """The same of a task that is known to run answers."""
    if setting != "sandbox":
        return permission.REFUSED
    told = sandbox.refusal()
    return told and f"its answers are programs, and fitness.code=sandbox cannot be had here: {told}"


def with_metrics(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration whose metrics ``pass_at_k`` and ``pass_at_1``, where it names them, are ours."""
    entries = _entries(config, "metric_list")
    if not any(entry.get("metric") in METRICS for entry in entries):
        return config
    usual = {"aggregation": "mean", "higher_is_better": True}
    metrics = [
        usual | dict(entry) | {"metric": METRICS[entry["metric"]]} if entry.get("metric") in METRICS else entry
        for entry in entries
    ]
    return config | {"metric_list": metrics, "unsafe_code": True}


def is_sandboxed(config: Mapping[str, Any]) -> bool:
    """Whether a task judges by our ``code_eval``.

    Args:
        config: Its configuration, functions resolved.
    """
    return any(_reaches(function) for function in _functions(config))


def runs_answers(task: Task) -> bool:
    """Whether a task's answers are run."""
    config = getattr(task, "config", None)
    return bool(getattr(task, "UNSAFE_CODE", False)) or (config is not None and is_sandboxed(vars(config)))


def _entries(config: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = config.get(key)
    return [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, list) else []


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for entry in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(entry)


def _mentions(text: str) -> bool:
    """Whether a text names a function in a file that speaks of code_eval."""
    if "/" not in text or "\n" in text or len(text) > 1000:
        return False
    path = Path(text.rpartition(".")[0] + ".py")
    return path.is_file() and CODE_EVAL.name in path.read_text(encoding="utf-8", errors="replace")


def _functions(config: Mapping[str, Any]) -> Iterator[Any]:
    yield config.get("process_results")
    for entry in _entries(config, "metric_list"):
        yield entry.get("metric")
    for chain in _entries(config, "filter_list"):
        for step in _entries(chain, "filter"):
            yield from step.values()


def _reaches(function: Any) -> bool:
    """Whether a function is ours, or its module holds something of ours."""
    while isinstance(function, functools.partial):
        function = function.func
    if not isinstance(function, types.FunctionType):
        return False
    values = (function, *function.__globals__.values())
    return any(value is own or getattr(value, "__self__", None) is own for value in values for own in _OURS)
