"""A model that is put together from layers, as mergekit's slices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evomerge import methods
from evomerge.dialects.mergekit.blocks import numbered
from evomerge.dialects.mergekit.facts import ModelFacts
from evomerge.dialects.mergekit.model_names import ModelName
from evomerge.dialects.mergekit.written.values import Written, parameter
from evomerge.errors import InputError
from evomerge.recipe import DEFAULT_LAYER_PATTERN, Ends, OutputLayer, Recipe, layer_of, stands_before


@dataclass(frozen=True)
class Names:
    """The names of a recipe's sources and of its base."""

    sources: tuple[ModelName, ...]
    base: ModelName | None


@dataclass(frozen=True)
class _Row:
    """One tensor: its names in the merged model and in the inputs, and its row of coefficients."""

    name: str
    inputs: tuple[str, ...]
    row: int


@dataclass(frozen=True)
class _Slice:
    """Layers that follow each other in all their sources.

    Attributes:
        sources: Positions of the merged sources.
        starts: The first layer of each.
        base: The first layer of the base, where it is listed.
        length: Number of layers.
        rows: All tensors that look their values up here.
    """

    sources: tuple[int, ...]
    starts: tuple[int, ...]
    base: int | None
    length: int
    rows: tuple[_Row, ...]


def slices(
    recipe: Recipe, names: Names, values: Written, facts: Sequence[ModelFacts], template: ModelFacts
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Writes the layers of a recipe.

    Args:
        recipe: The recipe; without layers of its own all layers are merged with the same layer of the others.
        names: The names of its sources.
        values: Its values in mergekit's words.
        facts: The facts about each source.
        template: The facts about the model that gives the tensors outside layers.

    Returns:
        The slices, and the names of the merged tensors.

    Raises:
        InputError: If mergekit has no words for them.
    """
    method = methods.load(recipe.method)
    based = method.takes_deltas(recipe.base is not None)
    layers = recipe.layers or tuple(
        OutputLayer(tuple((source, number) for source in range(len(recipe.sources))))
        for number in sorted(facts[0].layers)
    )
    problems = list(_problems(layers, names, based))
    if problems:
        raise InputError(problems)
    found: list[_Slice] = []
    for number, layer in enumerate(layers):
        own = _slice(recipe, layer, number, facts, based)
        if found and _follows(found[-1], own, values):
            last = found[-1]
            found[-1] = replace(last, length=last.length + 1, rows=(*last.rows, *own.rows))
        else:
            found.append(own)
    found = _with_ends(recipe, found, template, based)
    tensors = tuple(row.name for part in found for row in part.rows)
    return [_written(part, names, values, method.base == "none", based) for part in found], tensors


def _problems(layers: Sequence[OutputLayer], names: Names, based: bool) -> Iterator[str]:
    for number, layer in enumerate(layers):
        sources = [names.sources[source] for source, _ in layer.inputs]
        for name in dict.fromkeys(sources):
            if sources.count(name) > 1:
                yield f"layers[{number}].inputs names {name} {sources.count(name)} times; mergekit takes a model once"
        if based and layer.base is None:
            yield f"layers[{number}] has no base; mergekit takes differences to one in all layers"
        if not based and layer.base is not None:
            yield f"layers[{number}].base is {layer.base}; mergekit's method takes no base"


def _slice(recipe: Recipe, layer: OutputLayer, number: int, facts: Sequence[ModelFacts], based: bool) -> _Slice:
    first, inner = layer.inputs[0]
    absent = [f"layer {at} of sources[{source}]" for source, at in layer.inputs if at not in facts[source].layers]
    if absent:
        raise InputError(f"layers[{number}] names {' and '.join(absent)}, which there is not")
    rows = []
    for name in facts[first].layers[inner]:
        own = numbered(name, number)
        row = recipe.groups.index(own) if layer.row is None else layer.row
        rows.append(_Row(own, tuple(numbered(name, at) for _, at in layer.inputs), row))
    sources, starts = zip(*layer.inputs, strict=True)
    return _Slice(sources, starts, layer.base if based else None, 1, tuple(rows))


def _follows(last: _Slice, layer: _Slice, values: Written) -> bool:
    """Whether a layer goes on where a slice ends, with the same values for the same tensors."""
    if layer.sources != last.sources or any(
        b != a + last.length for a, b in zip(last.starts, layer.starts, strict=True)
    ):
        return False
    if layer.base is not None and (last.base is None or layer.base != last.base + last.length):
        return False
    return _by_tail(last, values) == _by_tail(layer, values)


def _by_tail(part: _Slice, values: Written) -> dict[str, tuple[Any, ...]]:
    return {
        numbered(row.name, 0): tuple(array[row.row].tolist() for array in values.coefficients.values())
        for row in part.rows
    }


def _with_ends(recipe: Recipe, found: list[_Slice], template: ModelFacts, based: bool) -> list[_Slice]:
    """The slices with the tensors before them and after them. Slices without layers say whose these are, if need be."""
    everyone = tuple(range(len(recipe.sources)))
    ends = recipe.ends or Ends(everyone, everyone)
    if len(ends.before) < len(ends.after):
        raise InputError(
            f"ends has {len(ends.before)} sources before the layers and {len(ends.after)} after; mergekit takes no "
            "more after them than before"
        )
    rows: dict[bool, list[_Row]] = {True: [], False: []}
    for name in template.names:
        if layer_of(name, DEFAULT_LAYER_PATTERN) is None:
            before = stands_before(recipe.groups.place(name), name)
            width = len(ends.before if before else ends.after)
            rows[before].append(_Row(name, (name,) * width, recipe.groups.index(name)))

    def empty(sources: tuple[int, ...]) -> _Slice:
        return _Slice(sources, (0,) * len(sources), 0 if based else None, 0, ())

    if found[0].sources != ends.before:
        found.insert(0, empty(ends.before))
    if found[-1].sources != ends.after:
        found.append(empty(ends.after))
    found[0] = replace(found[0], rows=(*found[0].rows, *rows[True]))
    found[-1] = replace(found[-1], rows=(*found[-1].rows, *rows[False]))
    return found


def _written(part: _Slice, names: Names, values: Written, from_first: bool, based: bool) -> dict[str, Any]:
    entries: list[dict[str, Any]] = []
    shared: dict[str, Any] = {}
    for source, start in zip(part.sources, part.starts, strict=True):
        entries.append({"model": names.sources[source].written(), "layer_range": [start, start + part.length]})
    for coefficient, array in values.coefficients.items() if part.rows else ():
        if array.ndim == 1 and not _of_one(coefficient):
            shared[coefficient] = parameter({row.name: float(array[row.row]) for row in part.rows})
            continue
        columns = array.reshape(len(array), -1)
        for slot, entry in enumerate(entries[: columns.shape[1]]):
            own = {row.inputs[slot]: float(columns[row.row, slot]) for row in part.rows}
            entry.setdefault("parameters", {})[coefficient] = parameter(own)
    if based and names.base is not None:
        start = part.base or 0
        entries.append({"model": names.base.written(), "layer_range": [start, start + part.length]})
    written: dict[str, Any] = {"sources": entries}
    if from_first and part.sources[0] != 0:
        written["base_model"] = names.sources[part.sources[0]].written()
    return written | ({"parameters": shared} if shared else {})


def _of_one(coefficient: str) -> bool:
    """Whether a coefficient that all inputs share is a parameter of the one model there is: passthrough's scale."""
    return coefficient == "scale"
