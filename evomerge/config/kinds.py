"""The kind of value that a declared setting holds: from its type, its range and choices, or the form that it names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from evomerge.config import model_names, value_types
from evomerge.config.value_types import Kind, listed
from evomerge.settings import Declared, Setting


def kind_of(entry: Declared) -> Kind:
    """The kind of a setting's value.

    Raises:
        TypeError: If nothing here reads the type, and the setting names no form, or one that does not exist.
    """
    if (form := entry.setting.form) is not None:
        if form not in _FORMS:
            raise TypeError(f"setting {entry.key} names the form {form!r}; {__name__} has {', '.join(_FORMS)}")
        kind = _FORMS[form](entry.setting)
    elif entry.setting.choices is not None:
        several = entry.plain_type is tuple
        kind = (value_types.choices if several else value_types.choice)(entry.setting.choices)
    elif entry.plain_type in _TYPES:
        kind = _TYPES[entry.plain_type](entry.setting)
    else:
        raise TypeError(f"setting {entry.key} is a {entry.type}; name a form that reads it, see {__name__}")
    return value_types.optional(kind) if entry.optional else kind


def _integer(setting: Setting) -> Kind:
    low, high = (None if end is None else int(end) for end in (setting.low, setting.high))
    return value_types.integer(low, high)


_TYPES: Mapping[Any, Callable[[Setting], Kind]] = {
    bool: lambda _: value_types.truth(),
    int: _integer,
    float: lambda setting: value_types.number(setting.low, setting.high),
    str: lambda _: value_types.text(),
    tuple: lambda _: value_types.texts(),
    Mapping: lambda _: value_types.mapping(),
}


def _checkpoint(_: Setting) -> Kind:
    expected = "a folder, a hub id such as ORG/NAME, or a mapping with source and revision"
    return Kind(expected, model_names.read_model, text=True)


def _checkpoints(_: Setting) -> Kind:
    expected = "a list of folders or hub ids such as [A,B], or a YAML file with one"
    return Kind(expected, lambda value: tuple(map(model_names.read_model, listed(value))), many=True)


def _tasks(_: Setting) -> Kind:
    return Kind("a list of task names such as [a,b], or a YAML file with one", _read_tasks, many=True)


def _read_tasks(value: Any) -> tuple[str | dict[str, Any], ...]:
    return _named(listed(value, only_lists=True), "task")


def _named(entries: Iterable[Any], kind: str) -> tuple[str | dict[str, Any], ...]:
    """Names, and mappings with a name under the word for what they are."""
    found: list[str | dict[str, Any]] = []
    for entry in entries:
        if isinstance(entry, Mapping):
            if not isinstance(entry.get(kind), str):
                raise ValueError(f"a {kind}'s mapping needs its name under {kind!r}")
            found.append({str(name): inner for name, inner in entry.items()})
        elif isinstance(entry, str) and entry:
            found.append(entry)
        else:
            raise ValueError
    return tuple(found)


def _steps(_: Setting) -> Kind:
    expected = "a list of steps such as [lines,{step: sparsify, density: 0.5}], or a YAML file with one"
    return Kind(expected, lambda value: _named(listed(value), "step"), many=True)


def _points(_: Setting) -> Kind:
    """Points by name, one of each where only names are given."""

    def read(value: Any) -> dict[str, float]:
        entries = value.items() if isinstance(value, Mapping) else [(name, 1.0) for name in listed(value)]
        if not all(isinstance(name, str) and name for name, _ in entries):
            raise ValueError
        return {name: value_types.number(0, 100).read(points) for name, points in entries}

    return Kind("tasks such as [refusals], or with points, {refusals: 2}", read, many=True, free=True)


def _text_or_mapping(_: Setting) -> Kind:
    words = value_types.text()

    def read(value: Any) -> Any:
        return {str(name): inner for name, inner in value.items()} if isinstance(value, Mapping) else words.read(value)

    return Kind("a text, or a mapping such as {t1.acc: 1}", read, text=True)


_FORMS: Mapping[str, Callable[[Setting], Kind]] = {
    "bytes": lambda setting: value_types.size(none=not setting.low),
    "checkpoint": _checkpoint,
    "checkpoints": _checkpoints,
    "metrics": lambda _: value_types.metric_texts(),
    "numbers": lambda setting: value_types.numbers(setting.low, setting.high),
    "paths": lambda _: value_types.paths(),
    "patterns": lambda _: value_types.patterns(),
    "points": _points,
    "positive number": lambda setting: value_types.number(setting.low, setting.high, above=0),
    "regular expression": lambda _: value_types.regular_expression(),
    "shares": lambda setting: value_types.shares(setting.names() or ()),
    "steps": _steps,
    "tasks": _tasks,
    "text or mapping": _text_or_mapping,
}
