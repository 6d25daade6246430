"""The rules that a recipe's values keep, whoever made it.

Every rule names the fields that it looks at, so that a file of which some fields cannot even be read is still told
everything else that is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from evomerge.recipe.chat_templates import CHAT_TEMPLATES
from evomerge.recipe.finishing import EMBEDDINGS, UNMATCHED, PostStep, Tokenizer
from evomerge.recipe.groups import ParameterGroups
from evomerge.recipe.layers import Ends, OutputLayer
from evomerge.recipe.sources import CheckpointRef

FORMATS = (1, 2)
DTYPES = ("float32", "bfloat16", "float16")


def problems(fields: Mapping[str, Any]) -> list[str]:
    """The rules that a recipe breaks.

    Args:
        fields: The recipe's fields by name. Rules about fields that are missing here are left out.

    Returns:
        One sentence per problem, naming the field.
    """
    return [
        problem
        for names, rule in _RULES
        if all(name in fields for name in names)
        for problem in rule(*(fields[name] for name in names))
    ]


def slots(sources: Sequence[Any], layers: Sequence[OutputLayer]) -> int:
    """The most tensors that are merged into one, which is the number of columns of a coefficient per model."""
    return max(len(sources), *(len(layer.inputs) for layer in layers)) if layers else len(sources)


def _coefficients(
    coefficients: Mapping[str, np.ndarray],
    groups: ParameterGroups,
    sources: Sequence[Any],
    layers: Sequence[OutputLayer],
) -> Iterator[str]:
    rows = len(groups.groups)
    shapes = {(rows, slots(sources, layers)), (rows,)}
    for name, array in coefficients.items():
        if array.shape not in shapes:
            yield f"coefficient {name!r} has shape {array.shape}; expected one of {sorted(shapes)}"
        elif not np.isfinite(array).all():
            yield f"coefficient {name!r} holds values that are not finite"


def _sources(sources: Sequence[Any]) -> Iterator[str]:
    if not sources:
        yield "a recipe needs at least one model; sources is empty"


def _layers(layers: Sequence[OutputLayer], sources: Sequence[Any], groups: ParameterGroups, base: Any) -> Iterator[str]:
    count, rows = len(sources), len(groups.groups)
    for number, layer in enumerate(layers):
        where = f"layers[{number}]"
        if not layer.inputs:
            yield f"{where}.inputs is empty; expected at least one [source, layer]"
        for source, inner in layer.inputs:
            if not 0 <= source < count:
                yield f"{where}.inputs names source {source}; expected one of 0 to {count - 1}, a place in sources"
            if inner < 0:
                yield f"{where}.inputs names layer {inner}; expected 0 or more"
        if layer.base is not None and layer.base < 0:
            yield f"{where}.base is {layer.base}; expected a layer of the base, 0 or more"
        if layer.base is not None and base is None:
            yield f"{where}.base is {layer.base}, but the recipe has no base"
        if layer.row is not None and not 0 <= layer.row < rows:
            yield f"{where}.row is {layer.row}; expected one of 0 to {rows - 1}, a place in groups"
        if not 0.0 < layer.scale < float("inf"):
            yield f"{where}.scale is {layer.scale}; expected a positive number"


def _ends(ends: Ends | None, layers: Sequence[OutputLayer], sources: Sequence[Any]) -> Iterator[str]:
    if ends is None:
        return
    if not layers:
        yield "ends says what stands around the layers, but the recipe has no layers of its own"
    for name, named in (("before", ends.before), ("after", ends.after)):
        if not named:
            yield f"ends.{name} is empty; expected at least one place in sources"
        for source in named:
            if not 0 <= source < len(sources):
                yield f"ends.{name} names source {source}; expected one of 0 to {len(sources) - 1}, a place in sources"


def _choices(name: str, known: Sequence[Any]) -> Callable[[Any], Iterator[str]]:
    def rule(value: Any) -> Iterator[str]:
        if value not in known:
            yield f"{name} is {value!r}; known are {', '.join(map(str, known))}"

    return rule


def _embeddings(embeddings: str, base: Any) -> Iterator[str]:
    yield from _choices("embeddings", EMBEDDINGS)(embeddings)
    if embeddings == "base" and base is None:
        yield "embeddings is 'base', but the recipe has no base"


def _tokenizer(tokenizer: Tokenizer, sources: Sequence[Any], base: Any) -> Iterator[str]:
    source = tokenizer.source
    if isinstance(source, int) and not 0 <= source < len(sources):
        yield f"tokenizer.source is {source}; expected one of 0 to {len(sources) - 1}, a place in sources"
    if source == "base" and base is None:
        yield "tokenizer.source is 'base', but the recipe has no base"
    if isinstance(source, str) and source not in ("base", "union"):
        yield f"tokenizer.source is {source!r}; expected base, union, or a place in sources"
    for token, said in tokenizer.tokens.items():
        yield from _token(f"tokenizer.tokens[{token!r}]", said, len(sources), base)
    if tokenizer.pad_to_multiple_of is not None and tokenizer.pad_to_multiple_of < 1:
        yield f"tokenizer.pad_to_multiple_of is {tokenizer.pad_to_multiple_of}; expected 1 or more"


def _token(where: str, said: Any, count: int, base: Any) -> Iterator[str]:
    if not isinstance(said, Mapping):
        yield f"{where} is {said!r}; expected an object"
        return
    for name in said.keys() - {"source", "token", "token_id", "force"}:
        yield f"{where} has no field {name!r}; known are source, token, token_id and force"
    source = said.get("source")
    if source == "base" and base is None:
        yield f"{where}.source is 'base', but the recipe has no base"
    elif source is not None and source not in ("base", "zero") and not _place(source, count):
        yield f"{where}.source is {source!r}; expected base, zero, or one of 0 to {count - 1}, a place in sources"
    if ("token" in said or "token_id" in said) and (source is None or source == "zero"):
        yield f"{where} names a token, but no source that has it"
    if "token" in said and "token_id" in said:
        yield f"{where} has both token and token_id; expected one of them"
    if not isinstance(said.get("token", ""), str):
        yield f"{where}.token is {said['token']!r}; expected a text"
    if not _place(said.get("token_id", 0), 1 << 31):
        yield f"{where}.token_id is {said['token_id']!r}; expected an integer from 0 on"
    if not isinstance(said.get("force", False), bool):
        yield f"{where}.force is {said['force']!r}; expected true or false"


def _place(value: Any, count: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < count


def _chat_template(chat_template: int | str | None, sources: Sequence[Any], base: Any) -> Iterator[str]:
    if chat_template == "":
        yield "chat_template is an empty text; leave it out for the reference's own, or give a template"
    elif isinstance(chat_template, str) and chat_template not in ("base", *CHAT_TEMPLATES) and "{" not in chat_template:
        known = ", ".join(CHAT_TEMPLATES)
        yield f"chat_template is {chat_template!r}, which is no template of Jinja and none of base, {known}"
    if isinstance(chat_template, int) and not 0 <= chat_template < len(sources):
        yield f"chat_template is {chat_template}; expected one of 0 to {len(sources) - 1}, a place in sources"
    if chat_template == "base" and base is None:
        yield "chat_template is 'base', but the recipe has no base"


def _post(post: Sequence[PostStep], groups: ParameterGroups) -> Iterator[str]:
    rows = len(groups.groups)
    for number, step in enumerate(post):
        for name, values in step.coefficients.items():
            array = np.asarray(values)
            if array.shape != (rows,):
                yield f"post[{number}].coefficients.{name} has shape {array.shape}; expected {(rows,)}"
            elif not np.isfinite(array).all():
                yield f"post[{number}].coefficients.{name} holds values that are not finite"


def _not_in_format_1(name: str, new: Callable[[Any], bool]) -> tuple[tuple[str, str], Callable[..., Iterator[str]]]:
    """The rule that a field of a format-1 recipe has nothing that came with format 2."""

    def rule(version: int, value: Any) -> Iterator[str]:
        if version == 1 and new(value):
            yield f"{name} says something that recipe format 1 has no words for"

    return ("format", name), rule


_RULES: tuple[tuple[tuple[str, ...], Callable[..., Iterator[str]]], ...] = (
    (("format",), _choices("format", FORMATS)),
    (("coefficients", "groups", "sources", "layers"), _coefficients),
    (("dtype",), _choices("dtype", DTYPES)),
    (("out_dtype",), _choices("out_dtype", DTYPES)),
    (("sources",), _sources),
    (("layers", "sources", "groups", "base"), _layers),
    (("ends", "layers", "sources"), _ends),
    (("embeddings", "base"), _embeddings),
    (("unmatched",), _choices("unmatched", UNMATCHED)),
    (("tokenizer", "sources", "base"), _tokenizer),
    (("chat_template", "sources", "base"), _chat_template),
    (("post", "groups"), _post),
    _not_in_format_1("sources", lambda value: not all(isinstance(source, CheckpointRef) for source in value)),
    _not_in_format_1("base", lambda value: value is not None and not isinstance(value, CheckpointRef)),
    _not_in_format_1("layers", lambda value: any(layer != OutputLayer(layer.inputs[:1]) for layer in value)),
    _not_in_format_1("ends", bool),
    _not_in_format_1("groups", lambda value: any(group.filters for group in value.groups)),
    _not_in_format_1("post", bool),
    _not_in_format_1("statistics", bool),
    _not_in_format_1("embeddings", lambda value: value != "merge"),
    _not_in_format_1("unmatched", lambda value: value != "refuse"),
    _not_in_format_1("tokenizer", lambda value: value != Tokenizer(value.source) or isinstance(value.source, int)),
    _not_in_format_1("chat_template", lambda value: isinstance(value, int)),
)
