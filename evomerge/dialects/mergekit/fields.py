"""Reading of mappings from YAML: every key by name, every problem at once."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from evomerge.errors import InputError, suggest

T = TypeVar("T")
Reader = Callable[[Any, str], Any]
"""Reads a value; the text is where it stands, for messages."""


def shown(value: Any) -> str:
    """A value for a message, shortened."""
    return reprlib.repr(value)


def mapping(value: Any, where: str, readers: Mapping[str, Reader], needed: Collection[str] = ()) -> dict[str, Any]:
    """Reads the fields of a mapping, see :func:`read_fields`.

    Raises:
        InputError: With every unknown, missing and unreadable key.
    """
    found, problems = read_fields(value, where, readers, needed)
    if problems:
        raise InputError(problems)
    return found


def read_fields(
    value: Any, where: str, readers: Mapping[str, Reader], needed: Collection[str] = ()
) -> tuple[dict[str, Any], list[str]]:
    """Reads the fields of a mapping as far as that goes; what is null counts as left out.

    Args:
        value: The mapping.
        where: Where it stands; empty for the document itself.
        readers: Of all keys that it may have.
        needed: Those that it must have.

    Returns:
        The fields that are there and could be read; and what is wrong: every unknown, missing and unreadable key.
    """
    named = where or "the document"
    if not isinstance(value, Mapping):
        return {}, [f"{named} is {shown(value)}; expected a mapping with {', '.join(readers)}"]
    prefix = f"{where}." if where else ""
    problems = [
        f"unsupported key {prefix + str(key)!r}{suggest(str(key), readers)} (supported are {', '.join(readers)})"
        for key in value
        if key not in readers
    ]
    problems += [f"{named} has no {key}" for key in needed if value.get(key) is None]
    found: dict[str, Any] = {}
    for key, reader in readers.items():
        if value.get(key) is not None:
            try:
                found[key] = reader(value[key], prefix + key)
            except InputError as error:
                problems += error.problems
    return found, problems


def text(value: Any, where: str) -> str:
    """Reads a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise InputError(f"{where} is {shown(value)}; expected a text")
    return value


def boolean(value: Any, where: str) -> bool:
    """Reads true or false."""
    if not isinstance(value, bool):
        raise InputError(f"{where} is {shown(value)}; expected true or false")
    return value


def whole(value: Any, where: str) -> int:
    """Reads a whole number, which may be written as a text or with a point."""
    try:
        if isinstance(value, int | float | str) and not isinstance(value, bool) and float(value) == int(float(value)):
            return int(float(value))
    except (ValueError, OverflowError):
        pass
    raise InputError(f"{where} is {shown(value)}; expected a whole number")


def list_of(reader: Callable[[Any, str], T]) -> Callable[[Any, str], tuple[T, ...]]:
    """A reader of lists that are not empty."""

    def read(value: Any, where: str) -> tuple[T, ...]:
        if not isinstance(value, list) or not value:
            raise InputError(f"{where} is {shown(value)}; expected a list with at least one entry")
        problems: list[str] = []
        found: list[T] = []
        for index, item in enumerate(value):
            try:
                found.append(reader(item, f"{where}[{index}]"))
            except InputError as error:
                problems += error.problems
        if problems:
            raise InputError(problems)
        return tuple(found)

    return read
