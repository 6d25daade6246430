"""Settings: dataclass fields that declare their own help, range and choices, once, where they are used.

    @dataclass(frozen=True)
    class Budgets:
        patience: int | None = field(default=None, metadata=setting("stop after so many batches ...", low=1))

The field's name and type and its default complete the declaration. The keys of the command line, ``--help``, the checks
of values and the composed configuration follow from it, and from nothing else. What does not follow is whether the
setting belongs to a run's identity, so that a folder begun with another value is refused: a field of the settings of
fitness, genome or searcher does by itself, any other only if :mod:`evomerge.run.description.identity` names it, and
``tests/run/test_identity.py`` asks for every key which of both was meant.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass
from typing import Any, TypeVar

from evomerge.errors import InputError, a_number, suggest

__all__ = [
    "Declared",
    "Setting",
    "as_json",
    "build",
    "declared",
    "from_json",
    "parse_size",
    "problems",
    "section",
    "setting",
]

T = TypeVar("T")
Names = Sequence[str] | Callable[[], Sequence[str]]


@dataclass(frozen=True)
class Setting:
    """The part of a declaration that a dataclass field has no place for.

    Attributes:
        help: One sentence for ``--help``.
        key: Its key on the command line, where that is not the section and the field's name.
        low: Smallest number.
        high: Largest number.
        choices: The accepted names, or the names that a mapping may hold; a callable is asked when they are needed.
        form: Name of the form of the value where its type does not tell, see :mod:`evomerge.config.kinds`.
    """

    help: str
    key: str | None = None
    low: float | None = None
    high: float | None = None
    choices: Names | None = None
    form: str | None = None

    def names(self) -> tuple[str, ...] | None:
        """The accepted names, where there are only a few."""
        found = self.choices() if callable(self.choices) else self.choices
        return None if found is None else tuple(found)


@dataclass(frozen=True)
class _Section:
    prefix: str | None
    omit: tuple[str, ...]


def setting(
    help: str,
    *,
    key: str | None = None,
    low: float | None = None,
    high: float | None = None,
    choices: Names | None = None,
    form: str | None = None,
) -> Mapping[str, Any]:
    """The ``metadata`` of a dataclass field that users can set; arguments as in :class:`Setting`."""
    return {"setting": Setting(help, key, low, high, choices, form)}


def section(prefix: str | None = None, omit: Sequence[str] = ()) -> Mapping[str, Any]:
    """The ``metadata`` of a field that holds a dataclass of settings.

    Args:
        prefix: First part of their keys; None is the field's name.
        omit: Fields of it that are no settings here.
    """
    return {"section": _Section(prefix, tuple(omit))}


@dataclass(frozen=True)
class Declared:
    """One setting of a configuration.

    Attributes:
        key: Its key, such as ``seed`` or ``genome.depth``.
        path: Names of the fields that lead to it.
        setting: Its declaration.
        type: The type of the field.
        default: The default; ``dataclasses.MISSING`` where there is none.
    """

    key: str
    path: tuple[str, ...]
    setting: Setting
    type: Any
    default: Any

    @property
    def optional(self) -> bool:
        """Whether it may be null."""
        return type(None) in typing.get_args(self.type)

    @property
    def plain_type(self) -> Any:
        """The type without null; for a generic type its origin, such as ``tuple``."""
        inner = [kind for kind in typing.get_args(self.type) if kind is not type(None)]
        union = isinstance(self.type, types.UnionType) or typing.get_origin(self.type) is typing.Union
        kind = inner[0] if union and len(inner) == 1 else self.type
        return typing.get_origin(kind) or kind


def declared(kind: Any, prefix: str = "") -> Mapping[str, Declared]:
    """All settings of a dataclass and of the sections in it, by key, in the order of their declaration.

    Args:
        kind: The dataclass.
        prefix: First part of the keys where it is a section itself, such as ``genome.``.
    """
    return {found.key: found for found in _walk(kind, prefix, (), ())}


def _walk(kind: Any, prefix: str, path: tuple[str, ...], omit: Sequence[str]) -> Iterator[Declared]:
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if field.name in omit:
            continue
        here = (*path, field.name)
        if (inside := field.metadata.get("section")) is not None:
            name = field.name if inside.prefix is None else inside.prefix
            yield from _walk(hints[field.name], f"{name}.", here, inside.omit)
        elif (own := field.metadata.get("setting")) is not None:
            default = field.default if field.default_factory is MISSING else field.default_factory()
            yield Declared(own.key or f"{prefix}{field.name}", here, own, hints[field.name], default)


def build(kind: type[T], values: Mapping[str, Any], **others: Any) -> T:
    """Makes a configuration.

    Args:
        kind: Its dataclass.
        values: Key to value; a key that is left out has its default.
        **others: Fields of the dataclass that are no settings.
    """
    tree = dict(others)
    for key, found in declared(kind).items():
        if key in values:
            _put(tree, found, values[key])
    return _construct(kind, tree)


def _put(tree: dict[str, Any], found: Declared, value: Any) -> None:
    """Puts a value where its field is, making the sections that lead to it."""
    *outer, last = found.path
    for name in outer:
        tree = tree.setdefault(name, {})
    tree[last] = tuple(value) if found.plain_type is tuple and isinstance(value, list) else value


def _construct(kind: type[T], tree: Mapping[str, Any]) -> T:
    hints = typing.get_type_hints(kind)
    given = {
        field.name: _construct(hints[field.name], tree.get(field.name, {}))
        if "section" in field.metadata
        else tree[field.name]
        for field in dataclasses.fields(kind)  # type: ignore[arg-type]
        if field.name in tree or "section" in field.metadata
    }
    return kind(**given)


def as_json(config: Any) -> dict[str, Any]:
    """All settings of a configuration as a JSON object, with one level of sections: dotted keys are nested."""
    found: dict[str, Any] = {}
    for key, entry in declared(type(config)).items():
        value = _plain(functools.reduce(getattr, entry.path, config))
        outer, _, last = key.rpartition(".")
        (found.setdefault(outer, {}) if outer else found)[last] = value
    return found


def from_json(kind: type[T], data: Mapping[str, Any], prefix: str = "", **others: Any) -> T:
    """Reads what :func:`as_json` wrote; settings that it does not hold have their defaults.

    Args:
        kind: A dataclass of settings, which may be a section of the one that was written.
        data: The JSON object.
        prefix: First part of its keys where it is a section, such as ``fitness.``.
        **others: Fields of the dataclass that are no settings.
    """
    tree = dict(others)
    for key, found in declared(kind, prefix).items():
        outer, _, last = key.rpartition(".")
        inside = data.get(outer, {}) if outer else data
        if last in inside:
            _put(tree, found, inside[last])
    return _construct(kind, tree)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def problems(settings: Any, prefix: str = "") -> list[str]:
    """Values of a dataclass of settings that its own declarations do not allow: numbers out of range, unknown names.

    Args:
        settings: The dataclass.
        prefix: Put before each name, such as ``genome.``.
    """
    found = []
    for entry in declared(type(settings)).values():
        value = functools.reduce(getattr, entry.path, settings)
        if value is None and entry.optional:
            continue
        name = f"{prefix}{entry.path[-1]}"
        names = entry.setting.names() if entry.plain_type is str else None
        if names is not None and value not in names:
            found.append(f"{name}: expected one of {', '.join(names)}, came {value!r}{suggest(str(value), names)}")
        elif entry.plain_type in (int, float) and not _in_range(entry, value):
            expected = a_number(entry.setting.low, entry.setting.high, whole=entry.plain_type is int)
            found.append(f"{name}: expected {expected}, came {value!r}")
    return found


def _in_range(entry: Declared, value: Any) -> bool:
    accepted = int if entry.plain_type is int else int | float
    if isinstance(value, bool) or not isinstance(value, accepted):
        return False
    low, high = entry.setting.low, entry.setting.high
    return (low is None or value >= low) and (high is None or value <= high)


_SIZES = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "G": 10**9, "T": 10**12}
_BINARY_SIZES = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def parse_size(text: str | int) -> int:
    """Reads a size in bytes.

    Args:
        text: A number, with an optional suffix K, M, B, G or T (thousands, millions, twice billions, trillions), with
            or without a ``B`` after it: ``5GB``, ``5B`` and ``5000000000`` are the same. ``KiB`` to ``TiB``, or ``Ki``
            to ``Ti``, are powers of 1024.

    Raises:
        InputError: If it is not such a size, or not positive.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s?(?:([KMBGT]?)|([KMGT])I)B?", str(text).strip().upper(), re.ASCII)
    size = float(found[1]) * (_BINARY_SIZES[found[3]] if found[3] else _SIZES[found[2]]) if found else 0.0
    if not 1 <= size < math.inf:
        raise InputError(f"{str(text)[:80]!r} is not a size; write a number of bytes such as 5GB, 500M or 2GiB")
    return int(size)
