"""The numbers of a recipe as its file gives them: one number may stand for many coefficients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from evomerge.recipe.recipe import Recipe
from evomerge.recipe.values import values_of

Cell = tuple[int, ...]
"""The place of a coefficient in its array: row and slot, or the row alone where the models share it."""


@dataclass(frozen=True)
class Number:
    """A number that the file of a recipe gives once.

    Attributes:
        label: Where it stands, for people: ``weight[expert] layer 3``.
        coefficient: Name of the coefficient.
        shares: Its part in the coefficients that follow from it: 1 where a coefficient is this number, less where it is
            interpolated between several.
    """

    label: str
    coefficient: str
    shares: Mapping[Cell, float]


def numbers_of(recipe: Recipe) -> Iterator[Number]:
    """The numbers of a recipe in JSON, where each coefficient of each group has its own."""
    inputs = slot_labels(recipe)
    for name, array in values_of(recipe).items():
        for row, group in enumerate(recipe.groups.groups):
            if array.ndim == 1:
                yield Number(f"{name} {group.label}", name, {(row,): 1.0})
                continue
            for slot in range(array.shape[1]):
                yield Number(f"{name}[{inputs[slot]}] {group.label}", name, {(row, slot): 1.0})


def slot_labels(recipe: Recipe) -> list[str]:
    """Names for people of the tensors that are merged: the source, or ``input 0`` where that depends on the layer."""
    return [f"input {slot}" for slot in range(recipe.slots)] if recipe.layers else source_labels(recipe)


def source_labels(recipe: Recipe) -> list[str]:
    """Names for people of the sources; those that have a name in common come with their positions."""
    short = [source.label for source in recipe.sources]
    return [name if short.count(name) == 1 else f"{name}#{slot}" for slot, name in enumerate(short)]
