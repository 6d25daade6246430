"""Strict reading of a recipe's JSON: every field by name, every problem at once.

A reader turns one JSON value into a value of ours, or raises an `InputError` that says where the value is, what it is
and what was expected.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

from evomerge.errors import InputError, suggest
from evomerge.recipe.finishing import PostStep, Tokenizer
from evomerge.recipe.groups import DEFAULT_LAYER_PATTERN, DEFAULT_PATTERNS, Group, ParameterGroups
from evomerge.recipe.layers import Ends, OutputLayer
from evomerge.recipe.sources import AdapterRef, CheckpointRef

T = TypeVar("T")
Reader = Callable[[Any, str], Any]
"""Reads a value; the text is where it stands, for messages."""
Fields = Mapping[str, Reader]


def read_object(data: Any, where: str, readers: Fields, needed: Iterable[str] = ()) -> tuple[dict[str, Any], list[str]]:
    """Reads the fields of a JSON object.

    Args:
        data: The object.
        where: Where it stands; empty for the recipe itself.
        readers: Of all fields that it may have.
        needed: Names of those that it must have.

    Returns:
        The fields that could be read, and what is wrong with the others.
    """
    named = where or "the recipe"
    if not isinstance(data, Mapping):
        return {}, [f"{named} is {_shown(data)}; expected an object with {', '.join(readers)}"]
    prefix = f"{where}." if where else ""
    found: list[str] = [
        f"unknown field {str(key)!r} in {named}{suggest(str(key), readers)}" for key in data if key not in readers
    ]
    found += [f"{named} has no field {key!r}" for key in needed if key not in data]
    fields: dict[str, Any] = {}
    for name, reader in readers.items():
        if name in data:
            try:
                fields[name] = reader(data[name], prefix + name)
            except InputError as error:
                found += error.problems
    return fields, found


def text(value: Any, where: str) -> str:
    """Reads a text."""
    return str(_of_type(value, where, str, "a text"))


def integer(value: Any, where: str) -> int:
    """Reads an integer."""
    return int(_of_type(value, where, int, "an integer"))


def number(value: Any, where: str) -> float:
    """Reads a number."""
    try:
        return float(_of_type(value, where, (int, float), "a number"))
    except OverflowError:
        raise InputError(f"{where} is {_shown(value)}; expected a number that a float can hold") from None


def boolean(value: Any, where: str) -> bool:
    """Reads true or false."""
    if not isinstance(value, bool):
        raise InputError(f"{where} is {_shown(value)}; expected true or false")
    return value


def plain_object(value: Any, where: str) -> dict[str, Any]:
    """Reads an object whose fields are somebody else's to check."""
    return dict(_of_type({} if value is None else value, where, Mapping, "an object"))


def text_or_integer(value: Any, where: str) -> str | int:
    """Reads a text or an integer."""
    return _of_type(value, where, (str, int), "a text or an integer")  # type: ignore[no-any-return]


def optional(reader: Reader) -> Reader:
    """A reader that takes null as well."""
    return lambda value, where: None if value is None else reader(value, where)


def list_of(reader: Reader) -> Reader:
    """A reader of a JSON array, as a tuple."""

    def read(value: Any, where: str) -> tuple[Any, ...]:
        items: list[Any] = []
        found: list[str] = []
        for index, item in enumerate(_of_type(value, where, list | tuple, "a list")):
            try:
                items.append(reader(item, f"{where}[{index}]"))
            except InputError as error:
                found += error.problems
        if found:
            raise InputError(found)
        return tuple(items)

    return read


def arrays(value: Any, where: str) -> dict[str, np.ndarray]:
    """Reads an object of arrays of numbers."""
    found: list[str] = []
    result: dict[str, np.ndarray] = {}
    for name, values in _of_type(value, where, Mapping, "an object of lists of numbers").items():
        try:
            array = np.asarray(values)
        except ValueError:  # rows of different lengths
            array = np.asarray(None)
        if array.dtype.kind not in "iuf" or _holds_booleans(values):
            found.append(f"{where}.{name} is {_shown(values)}; expected numbers, or rows of numbers of equal length")
        else:
            result[str(name)] = array.astype(np.float64)
    if found:
        raise InputError(found)
    return result


def layer(value: Any, where: str) -> OutputLayer:
    """Reads one output layer."""
    readers = {"inputs": list_of(_pair), "base": optional(integer), "row": optional(integer), "scale": number}
    return _made(OutputLayer, read_object(value, where, readers, ["inputs"]))


def ends(value: Any, where: str) -> Ends:
    """Reads which sources the tensors before and after the layers come from."""
    readers = {"before": list_of(integer), "after": list_of(integer)}
    return _made(Ends, read_object(value, where, readers, ["before", "after"]))


def layout(value: Any, where: str) -> tuple[OutputLayer, ...]:
    """Reads what format 1 calls layout: for each output layer the (model, layer) that it is."""
    return tuple(OutputLayer((pair,)) for pair in list_of(_pair)(() if value is None else value, where))


def post_step(value: Any, where: str) -> PostStep:
    """Reads one step after the merge."""
    readers = {"name": text, "options": plain_object, "coefficients": arrays}
    return _made(PostStep, read_object(value, where, readers, ["name"]))


def tokenizer(value: Any, where: str) -> Tokenizer:
    """Reads whose tokenizer it is; a text alone is a source, and ``reference`` the reference's own."""
    if isinstance(value, str):
        return Tokenizer(None if value == "reference" else value)
    readers = {
        "source": optional(text_or_integer), "tokens": plain_object, "pad_to_multiple_of": optional(integer),
    }  # fmt: skip
    return _made(Tokenizer, read_object(value, where, readers))


def chat_template(value: Any, where: str) -> str | int | None:
    """Reads whose chat template it is, or the template; null and ``reference`` are the reference's own."""
    return None if value in (None, "reference") else text_or_integer(value, where)


def groups(value: Any, where: str) -> ParameterGroups:
    """Reads the groups; missing patterns are the default ones."""
    readers = {"groups": list_of(_group), "patterns": list_of(_pattern), "layer_pattern": text}
    fields, found = read_object(value, where, readers, ["groups"])
    if found:
        raise InputError(found)
    patterns = fields.get("patterns", DEFAULT_PATTERNS)
    return ParameterGroups(fields["groups"], patterns, fields.get("layer_pattern", DEFAULT_LAYER_PATTERN))


def checkpoint(value: Any, where: str) -> CheckpointRef:
    """Reads a checkpoint as either format writes it; a text alone is a folder or hub id."""
    if isinstance(value, str):
        return CheckpointRef(_folder_or_hub_id(value, where))
    name = "source" if isinstance(value, Mapping) and "source" in value else "checkpoint"
    known = {"revision": optional(text), "fingerprint": optional(text), "hub_id": optional(text)}
    fields, found = read_object(value, where, {name: _folder_or_hub_id, **known}, [name])
    if found:
        raise InputError(found)
    return CheckpointRef(fields.pop(name), **fields)


def adapter(value: Any, where: str) -> AdapterRef:
    """Reads an adapter on a checkpoint."""
    known = {"revision": optional(text), "fingerprint": optional(text), "hub_id": optional(text)}
    readers = {"adapter": _folder_or_hub_id, "on": checkpoint, **known}
    fields, found = read_object(value, where, readers, ["adapter", "on"])
    if found:
        raise InputError(found)
    return AdapterRef(fields.pop("adapter"), **fields)


def _folder_or_hub_id(value: Any, where: str) -> str:
    found = text(value, where)
    if not found:  # an empty path would be the folder that one happens to be in
        raise InputError(f"{where} is an empty text; expected a folder or a hub id")
    return found


def _made(make: Callable[..., T], read: tuple[dict[str, Any], list[str]]) -> T:
    fields, found = read
    if found:
        raise InputError(found)
    return make(**fields)


def _group(value: Any, where: str) -> Group:
    readers = {"label": text, "kinds": list_of(text), "layers": optional(_pair), "frozen": boolean}
    readers["filters"] = list_of(text)
    return _made(Group, read_object(value, where, readers, ["label"]))


def _pair(value: Any, where: str) -> tuple[int, int]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise InputError(f"{where} is {_shown(value)}; expected a pair of integers")
    return integer(value[0], f"{where}[0]"), integer(value[1], f"{where}[1]")


def _pattern(value: Any, where: str) -> tuple[str, str]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise InputError(f"{where} is {_shown(value)}; expected [module kind, regular expression]")
    return text(value[0], f"{where}[0]"), text(value[1], f"{where}[1]")


def _of_type(value: Any, where: str, kind: Any, expected: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, kind):
        raise InputError(f"{where} is {_shown(value)}; expected {expected}")
    return value


def _holds_booleans(values: Any) -> bool:
    """Whether true or false stands among numbers, where numpy takes them for 1 and 0."""
    return any(map(_holds_booleans, values)) if isinstance(values, list | tuple) else isinstance(values, bool)


def _shown(value: Any) -> str:
    return reprlib.repr(value)
