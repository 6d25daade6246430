"""Overrides from mappings and files: nested values, files of settings, and other tools' configurations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evomerge.config import groups, parse, schema, value_types
from evomerge.config.parse import Override
from evomerge.config.schema import Key
from evomerge.config.yaml_values import yaml_file
from evomerge.dialects import evolve, mergenetic
from evomerge.dialects.overrides import Overrides
from evomerge.dialects.yaml_text import documents
from evomerge.errors import InputError
from evomerge.run import paths
from evomerge.texts import read_text

_DIALECTS: Sequence[tuple[Callable[[Any], bool], Callable[[Any, str], Overrides]]] = (
    (evolve.is_config, evolve.overrides),
    (mergenetic.is_config, mergenetic.overrides),
)

_CHAT, _TURNS = "fitness.apply_chat_template", "fitness.fewshot_as_multiturn"


def expanded(found: Sequence[Override], problems: list[str], notes: list[str] | None = None) -> list[Override]:
    """Puts in place of ``experiment=FILE.yaml`` what the file says; whatever else is given wins over it.

    So does what ``recipe=FILE.yml`` names, where that is the configuration of another tool's search.

    Args:
        found: Overrides in order.
        problems: Gets what is wrong with the files.
        notes: Gets what people should know of the translation of other tools' files.
    """
    first: list[Override] = []
    others: list[Override] = []
    for override in found:
        if not (override.key == "experiment" and _is_file(override.value)) and override.key != "recipe":
            others.append(override)
        elif (translated := _translated(override, problems, notes)) is not None:
            first += translated
        elif override.key == "experiment":
            for inner in _file_overrides(override, problems):
                translated = _translated(inner, problems, notes) if inner.key == "recipe" else None
                first += [inner] if translated is None else translated
        else:
            others.append(override)
    if any(override.key == _CHAT and override.value is False for override in others):
        first = [override for override in first if override.key != _TURNS]  # which are turns of a chat
    return [*first, *others]


def _translated(override: Override, problems: list[str], notes: list[str] | None) -> list[Override] | None:
    """The overrides that another tool's configuration stands for; None where the file is none."""
    if override.sweep or not _is_file(override.value):
        return None
    try:
        found = read_foreign(str(override.value))
    except InputError as error:
        problems += [f"{override.key}: {problem}" for problem in error.problems]
        return []
    if found is None:
        return None
    translated = overrides_of(found.values, problems)
    if notes is not None:
        notes += _said(str(override.value), found, translated)
    return translated


def read_foreign(name: str) -> Overrides | None:
    """Translates a file.

    Args:
        name: The file, as the user wrote it.

    Returns:
        The overrides that it stands for; None if it is no configuration of another tool's search, or cannot be read,
        which whoever reads it in earnest says.

    Raises:
        InputError: With everything in it that no search of ours does.
    """
    path = paths.expanded(name)
    if not paths.is_file(path):
        return None
    try:
        found = documents(read_text(path), name)
    except (InputError, OSError, ValueError):
        return None
    if len(found) != 1:
        return None
    for is_config, overrides in _DIALECTS:
        if is_config(found[0]):
            return overrides(found[0], name)
    return None


def _said(name: str, found: Overrides, translated: Sequence[Override]) -> list[str]:
    """The translation for people, one line for each key."""
    lines = [f"{name} is a configuration of {found.tool}; in words of evomerge:"]
    lines += [f"  {override.key}={parse.written(override.value)}" for override in translated]
    return [*lines, *(f"  note: {note}" for note in found.notes)]


def flattened(container: Mapping[str, Any], known: Mapping[str, Key], problems: list[str]) -> dict[str, Any]:
    """Dotted key to value from nested sections; keys that are unknown become problems."""
    flat: dict[str, Any] = {}

    def walk(prefix: str, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            key = f"{prefix}{name}"
            if key in known and not (key in schema.sections(known) and isinstance(value, Mapping)):
                flat[key] = value
            elif isinstance(value, Mapping) and key in schema.sections(known):
                walk(f"{key}.", value)
            else:
                problems.append(schema.unknown(key, known))

    walk("", container)
    return flat


def _is_file(value: Any) -> bool:
    return any(str(one).endswith((".yaml", ".yml")) for one in (value if isinstance(value, tuple) else (value,)))


def _file_overrides(override: Override, problems: list[str]) -> list[Override]:
    if override.sweep:
        problems.append("experiment: a sweep goes over named studies, not over files; run one sweep per file")
        return []
    try:
        content = yaml_file(override.value)
    except ValueError as error:
        problems.append(f"experiment: {error}")
        return []
    if not isinstance(content, Mapping):
        problems.append(f"experiment: the file {override.value} holds no mapping of keys to values")
        return []
    inner: list[str] = []
    found = overrides_of(content, inner)
    problems += [f"{override.value}: {problem}" for problem in inner]
    return found


def overrides_of(values: Mapping[str, Any], problems: list[str]) -> list[Override]:
    """Overrides from a mapping: names of groups, keys, sections, all nested or dotted."""
    known_groups = groups.groups()
    found: list[Override] = []
    for name, value in values.items():
        key = str(name)
        if key == groups.EXPERIMENT and value is None:
            continue
        if key in known_groups and isinstance(value, str):
            chosen, problem = parse.read([f"{key}={parse.written(value)}"], schema.SEARCH, known_groups)
            found += chosen
            problems += problem
        elif key in schema.sections(schema.SEARCH) and isinstance(value, Mapping):
            found += [Override(inner, item) for inner, item in flattened({key: value}, schema.SEARCH, problems).items()]
        elif key in schema.SEARCH or schema.free_key(key, schema.SEARCH):
            found.append(Override(key, value))
        elif key in known_groups:
            settings = ", or a mapping of its settings" if key in schema.sections(schema.SEARCH) else ""
            names = ", ".join(known_groups[key])
            problems.append(f"{key}: expected one of {names}{settings}, came {value_types.quoted(value)}")
        else:
            problems.append(schema.unknown(key, schema.SEARCH, tuple(known_groups)))
    return found
