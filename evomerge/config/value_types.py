"""Kinds of configuration values: each reads one value, or says what it expected."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evomerge.config.yaml_values import yaml_file
from evomerge.errors import InputError, a_number, suggest
from evomerge.recipe import MODULE_KINDS
from evomerge.settings import parse_size


def written_plainly(value: Any) -> str:
    """A value as people write it on the command line, without quotes."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {written_plainly(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(written_plainly, value)) + "]"
    return str(value)


def quoted(value: Any, length: int = 80) -> str:
    """A value as Python writes it, for messages; a long one is cut."""
    text = repr(value)
    return text if len(text) <= length else f"{text[: length - 3]}..."


@dataclass(frozen=True)
class Kind:
    """One kind of value.

    Attributes:
        expected: Completes the sentence "expected ...".
        read: Turns a value into what the program uses.
            Raises ``ValueError`` where it cannot; its text, if any, is added to the message.
        text: The value is the user's own words, so ``007`` and ``1e3`` stay as written.
        free: The value is a mapping with keys of the user's own.
        many: The value is a list, so a comma-separated value was probably meant as one.
        names: Gives the names that are allowed, where there are only a few.
        shown: Writes a value for people.
    """

    expected: str
    read: Callable[[Any], Any]
    text: bool = False
    free: bool = False
    many: bool = False
    names: Callable[[], Sequence[str]] | None = None
    shown: Callable[[Any], str] = written_plainly


def optional(kind: Kind) -> Kind:
    """The same kind, or null."""
    return replace(
        kind, expected=f"{kind.expected}, or null", read=lambda value: None if value is None else kind.read(value)
    )


def integer(low: int | None = None, high: int | None = None) -> Kind:
    """A whole number from ``low`` to ``high``."""

    def read(value: Any) -> int:
        whole = isinstance(value, float) and value.is_integer()
        if isinstance(value, bool) or not (isinstance(value, int) or whole):
            raise ValueError
        return int(_within(value, low, high))

    return Kind(a_number(low, high, whole=True), read)


def number(low: float | None = None, high: float | None = None, *, above: float | None = None) -> Kind:
    """A finite number from ``low`` to ``high``, greater than ``above``."""

    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError
        if above is not None and value <= above:
            raise ValueError
        return float(_within(value, low, high))

    return Kind(a_number(low, high) + (f" greater than {above:g}" if above is not None else ""), read)


def numbers(low: float | None = None, high: float | None = None) -> Kind:
    """A list of finite numbers, each from ``low`` to ``high``; one number alone is a list of one."""
    each = number(low, high)
    expected = f"a list such as [0.3,0.5] of which each is {each.expected}"
    return Kind(expected, lambda value: tuple(map(each.read, listed(value))), many=True)


def truth() -> Kind:
    """True or false."""

    def read(value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError
        return value

    return Kind("true or false", read)


def size(*, none: bool = True) -> Kind:
    """A number of bytes, such as ``5GB``; 0 is none, where none will do."""

    def read(value: Any) -> int:
        if isinstance(value, float) and value.is_integer():  # such as 2e9
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError
        if none and str(value) == "0":
            return 0
        try:
            return parse_size(value)
        except InputError as error:
            raise ValueError from error

    def shown(value: int) -> str:
        return f"{value // 10**9}GB" if value and value % 10**9 == 0 else str(value)

    return Kind("a number of bytes such as 5GB, 500M or " + ("0" if none else "100K"), read, shown=shown)


def text() -> Kind:
    """Any words."""
    return Kind("a text", _text, text=True)


def choice(names: Sequence[str] | Callable[[], Sequence[str]]) -> Kind:
    """One of a few names; a callable is asked for them when they are needed."""

    def read(value: Any) -> str:
        known = names() if callable(names) else names
        if str(value) not in known:
            raise ValueError(f"one of {', '.join(known)}{suggest(str(value), known)}")
        return str(value)

    return Kind("a name", read, text=True, names=names if callable(names) else lambda: names)


def choices(names: Sequence[str] | Callable[[], Sequence[str]]) -> Kind:
    """A list of a few names; one name alone is a list of one."""
    one = choice(names)

    def read(value: Any) -> list[str]:
        return [one.read(entry) for entry in listed(value)]

    return replace(one, expected="a list of names such as [a,b]", read=read, text=False, many=True)


def texts() -> Kind:
    """A list of words; one word alone is a list of one, and a ``.yaml`` file stands for the list in it."""
    return Kind(
        "a list such as [a,b], or a YAML file with one", lambda value: [_text(x) for x in listed(value)], many=True
    )


def regular_expression() -> Kind:
    """A regular expression."""

    def read(value: Any) -> str:
        try:
            re.compile(_text(value))
        except re.error as error:
            raise ValueError(str(error)) from error
        return _text(value)

    return Kind("a regular expression", read, text=True)


def patterns() -> Kind:
    """Pairs of a module kind and a regular expression over tensor names."""

    def read(value: Any) -> list[tuple[str, str]]:
        found = []
        for pair in listed(value):
            if not isinstance(pair, list | tuple) or len(pair) != 2:
                raise ValueError(f"{pair!r} is not a pair")
            kind = str(pair[0])
            if kind not in MODULE_KINDS:
                raise ValueError(f"{kind!r} is no module kind{suggest(kind, MODULE_KINDS)}")
            found.append((kind, regular_expression().read(pair[1])))
        return found

    return Kind("a list of [module kind, regular expression], or a YAML file with one", read)


def metric_texts() -> Kind:
    """A list of texts that begin with metric keys: ``gsm8k.exact_match,strict-match`` is one of them, quoted or not."""

    def read(value: Any) -> list[str]:
        joined: list[str] = []
        for entry in map(_text, listed(value)):
            # A key names its task before a dot, so what has none goes on where the comma of a filter broke the list.
            # Where the text before is a whole constraint, nothing of it can be missing.
            whole = joined and re.search("[<>]=", joined[-1])
            if joined and not whole and "." not in re.split("[<>]=", entry)[0]:
                joined[-1] += f",{entry}"
            else:
                joined.append(entry)
        return joined

    return replace(texts(), read=read)


def paths() -> Kind:
    """A list of existing files or folders; ``~`` and relative paths are fine."""

    def read(value: Any) -> list[str]:
        return [_text(entry) for entry in listed(value, only_lists=True)]

    return Kind("a list of files or folders", read, many=True)


def mapping() -> Kind:
    """Names and values of the user's own, or a ``.yaml`` file with them."""

    def read(value: Any) -> dict[str, Any]:
        found = yaml_file(value) if _is_yaml(value) else value
        if found is None:
            return {}
        if not isinstance(found, Mapping):
            raise ValueError
        try:
            json.dumps(found)  # manifests and reports are JSON; YAML also knows dates and the like
        except TypeError as error:
            raise ValueError(str(error)) from error
        return {str(name): inner for name, inner in found.items()}

    return Kind("a mapping such as {a: 1}, or a YAML file with one", read, free=True)


def shares(names: Sequence[str]) -> Kind:
    """Fractions that sum to one, by name."""

    def read(value: Any) -> dict[str, float]:
        if not isinstance(value, Mapping):
            raise ValueError
        for name in value:
            if name not in names:
                raise ValueError(f"{name!r} is not one of {', '.join(names)}{suggest(str(name), names)}")
        fractions = {name: number(0, 1).read(value.get(name, 0.0)) for name in names}
        if not math.isclose(sum(fractions.values()), 1.0, abs_tol=1e-9):
            raise ValueError(f"they sum to {sum(fractions.values()):g}")
        return fractions

    return Kind(f"fractions of {', '.join(names)} that sum to 1", read, free=True)


def listed(value: Any, *, only_lists: bool = False) -> list[Any]:
    """The entries of a list, of a YAML file that holds a list, or of a lone value.

    Args:
        value: What the configuration holds.
        only_lists: A YAML file that holds something else is itself the entry.

    Raises:
        ValueError: If there is no list in it.
    """
    if _is_yaml(value):
        found = yaml_file(value)
        if isinstance(found, list):
            return found
        if only_lists:
            return [value]
        raise ValueError(f"the file {value} holds no list")
    if value is None:
        return []
    if isinstance(value, str | Mapping):
        return [value]
    if not isinstance(value, list | tuple):
        raise ValueError
    return list(value)


def _is_yaml(value: Any) -> bool:
    return isinstance(value, str) and value.lower().endswith((".yaml", ".yml"))


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        raise ValueError
    return str(value)


def _within(value: float, low: float | None, high: float | None) -> float:
    if (low is not None and value < low) or (high is not None and value > high):
        raise ValueError
    return value
