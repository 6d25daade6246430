"""Which tensors of its sources each tensor of a merged model comes from, by names alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evomerge.checkpoints import CheckpointSource
from evomerge.recipe import OutputLayer, Recipe, layer_of


@dataclass(frozen=True)
class Origin:
    """The tensors that one output tensor comes from.

    Attributes:
        name: Its name in the merged model.
        inputs: ``(source, name there)`` of each tensor to merge: the source's position in the recipe.
        base: Name of the base's tensor, or None without one.
        layer: The output layer that says so, or None where tensors of one name are merged.
    """

    name: str
    inputs: tuple[tuple[int, str], ...]
    base: str | None
    layer: OutputLayer | None = None


def plain(recipe: Recipe, name: str) -> Origin:
    """The origin of a tensor that is merged from the tensors of its own name: in all sources, unless ends name some."""
    taken: Sequence[int] = range(len(recipe.sources))
    if recipe.ends is not None:
        taken = recipe.ends.of(recipe.groups.place(name), name)
    inputs = tuple((source, name) for source in taken)
    return Origin(name, inputs, None if recipe.base is None else name)


def origins(recipe: Recipe, template: CheckpointSource, sources: Sequence[CheckpointSource]) -> Iterator[Origin]:
    """Goes through the tensors of the merged model in the order of its files, without repeated heads.

    Args:
        recipe: The recipe.
        template: Whose names the model gets outside the recipe's own layers.
        sources: The recipe's sources, opened.

    Yields:
        One origin for each tensor. An input that its source lacks is named all the same.
    """
    stacked = False
    for name in template.specs:
        if name in template.aliases:
            continue
        if not recipe.layers or layer_of(name, recipe.groups.layer_pattern) is None:
            yield plain(recipe, name)
        elif not stacked:
            stacked = True
            yield from _layers(recipe, sources)


def renumbered(name: str, pattern: str, number: int) -> str:
    """The name of the same tensor in another layer."""
    found = re.search(pattern, name)
    assert found is not None
    return f"{name[: found.start(1)]}{number}{name[found.end(1) :]}"


def names_by_layer(source: CheckpointSource, pattern: str) -> Mapping[int, list[str]]:
    """Names of the tensors in each layer, in the order of the files."""
    found: dict[int, list[str]] = {}
    for name in source.specs:
        number = layer_of(name, pattern)
        if number is not None and name not in source.aliases:
            found.setdefault(number, []).append(name)
    return found


def _layers(recipe: Recipe, sources: Sequence[CheckpointSource]) -> Iterator[Origin]:
    pattern = recipe.groups.layer_pattern
    first = {layer.inputs[0][0] for layer in recipe.layers}
    layers = {source: names_by_layer(sources[source], pattern) for source in first}
    for number, layer in enumerate(recipe.layers):
        source, inner = layer.inputs[0]
        for name in layers[source].get(inner, ()):
            inputs = tuple((other, renumbered(name, pattern, at)) for other, at in layer.inputs)
            base = None if layer.base is None else renumbered(name, pattern, layer.base)
            yield Origin(renumbered(name, pattern, number), inputs, base, layer)
