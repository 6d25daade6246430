"""The two JSON formats of recipes, as tables of fields and their readers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from evomerge.errors import InputError
from evomerge.recipe import checks, reading
from evomerge.recipe.finishing import Tokenizer

Inner = Callable[[Any], Any]
"""Reads a recipe that is a source of another."""

# Values of fields that a file may leave out.
_ABSENT: Mapping[str, Any] = {
    "options": {},
    "base": None,
    "coefficients": {},
    "layers": (),
    "ends": None,
    "post": (),
    "statistics": (),
    "tokenizer": Tokenizer(),
    "embeddings": "merge",
    "unmatched": "refuse",
    "chat_template": None,
}


@dataclass(frozen=True)
class _Format:
    """One format.

    Attributes:
        readers: Name of the field in JSON to its reader.
        needed: Names of fields that must be there.
        names: Name in JSON to the recipe's own, where they differ.
    """

    readers: reading.Fields
    needed: tuple[str, ...]
    names: Mapping[str, str]

    def json_name(self, field: str) -> str:
        """The name in JSON of a field of the recipe."""
        return next((name for name, own in self.names.items() if own == field), field)


def read(data: Any, inner: Inner) -> dict[str, Any]:
    """Reads the JSON object of a recipe.

    Args:
        data: The object.
        inner: Reads a recipe among its sources.

    Returns:
        The recipe's fields by name.

    Raises:
        InputError: With everything that is wrong, the values of those fields included that could be read.
    """
    if not isinstance(data, Mapping):
        raise InputError(f"the recipe is of type {type(data).__name__}; expected an object")
    version = data.get("format", 1 if "models" in data else 2)
    if isinstance(version, bool) or version not in checks.FORMATS:
        known = " and ".join(map(str, checks.FORMATS))
        raise InputError(f"the recipe has format {version!r}; this version reads formats {known}")
    form = _format_1() if version == 1 else _format_2(inner)
    found, problems = reading.read_object(data, "", form.readers, form.needed)
    fields = {form.names.get(name, name): value for name, value in found.items()} | {"format": version}
    if problems:
        absent = {name: value for name, value in _ABSENT.items() if form.json_name(name) not in data}
        raise InputError([*problems, *checks.problems(absent | fields)])
    return {**_ABSENT, **fields}


def _common() -> dict[str, reading.Reader]:
    return {
        "format": reading.integer,
        "method": reading.text,
        "options": reading.plain_object,
        "groups": reading.groups,
        "coefficients": reading.arrays,
        "dtype": reading.text,
        "out_dtype": reading.text,
        "tokenizer": reading.tokenizer,
        "chat_template": reading.chat_template,
        "seed": reading.integer,
    }


def _format_1() -> _Format:
    checkpoint = reading.checkpoint
    own = {"models": reading.list_of(checkpoint), "base": reading.optional(checkpoint), "layout": reading.layout}
    needed = ("method", "models", "groups", "coefficients")
    return _Format({**_common(), **own}, needed, {"models": "sources", "layout": "layers"})


def _format_2(inner: Inner) -> _Format:
    def source(value: Any, where: str) -> Any:
        if isinstance(value, Mapping) and "adapter" in value:
            return reading.adapter(value, where)
        if isinstance(value, Mapping) and "recipe" in value:
            fields, found = reading.read_object(value, where, {"recipe": lambda data, _: data})
            try:
                recipe = inner(fields["recipe"])
            except InputError as error:
                found += [f"{where}.recipe: {problem}" for problem in error.problems]
            if found:
                raise InputError(found)
            return recipe
        return reading.checkpoint(value, where)

    own = {
        "sources": reading.list_of(source),
        "base": reading.optional(source),
        "layers": reading.list_of(reading.layer),
        "ends": reading.optional(reading.ends),
        "post": reading.list_of(reading.post_step),
        "statistics": reading.list_of(reading.text),
        "embeddings": reading.text,
        "unmatched": reading.text,
    }
    return _Format({**_common(), **own}, ("method", "sources", "groups", "coefficients"), {})
