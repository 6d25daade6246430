"""The numbers of a mergekit configuration, and the coefficients of the recipe that follow from each.

A number stands for all tensors and models that it applies to; the points of a gradient each for their share of what
lies between. Where a coefficient is not simply what the file says, such as a weight that was divided by a sum, every
group has a number of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from evomerge.dialects.mergekit.config import Configuration
from evomerge.dialects.mergekit.grouping import distinct
from evomerge.dialects.mergekit.settings import Gradient, Parameters
from evomerge.dialects.mergekit.values import ValuedBlock
from evomerge.errors import InputError
from evomerge.recipe import Cell, Number, Recipe, numbers_of

Point = tuple[int, int]
"""Identity of a gradient, and the position of a number in it."""


def numbers_in(configuration: Configuration, blocks: Sequence[ValuedBlock], recipe: Recipe) -> tuple[Number, ...]:
    """Traces the numbers of a configuration.

    Args:
        configuration: The configuration.
        blocks: Its blocks, whose tensors say where their values come from.
        recipe: The recipe that they became.

    Raises:
        InputError: If tensors are merged with unlike options, bases or models, so that it is several recipes in one.
    """
    if recipe.method != configuration.method:
        raise InputError(
            "tensors are merged with unlike options, bases or models, so it is several recipes in one; a search takes "
            "the numbers of one recipe"
        )
    points = _points(configuration)
    shares: dict[tuple[str, Point], dict[Cell, float]] = {}
    loose: set[tuple[str, Cell]] = set()
    for tensor in (tensor for block in blocks for tensor in block.tensors if not tensor.copied):
        row = recipe.groups.index(tensor.name)
        for name, origins in tensor.origins.items():
            array = recipe.coefficients[name]
            for slot, origin in enumerate(origins):
                if origin is None:
                    continue
                cell = (row, slot) if array.ndim == 2 else (row,)
                if not math.isclose(origin[0].at(origin[1]), array[cell], rel_tol=1e-9, abs_tol=1e-12):
                    loose.add((name, cell))
                    continue
                for position, share in origin[0].shares(origin[1]).items():
                    shares.setdefault((name, (id(origin[0]), position)), {})[cell] = share
    order = {point: place for place, point in enumerate(points)}
    found = sorted(shares.items(), key=lambda item: order[item[0][1]])
    labels = distinct(_label(name, points[point]) for (name, point), _ in found)
    own = [n for n in numbers_of(recipe) if any((n.coefficient, cell) in loose for cell in n.shares)]
    return (*(Number(label, name, cells) for label, ((name, _), cells) in zip(labels, found, strict=True)), *own)


def _points(configuration: Configuration) -> Mapping[Point, tuple[str, str]]:
    """Every number of the parameters, with what people call it: before and after the coefficient's name."""
    found: dict[Point, tuple[str, str]] = {}
    for model, where, level in _levels(configuration):
        for setting in level.values():
            for part, gradient in setting.choices:
                for position in range(len(gradient.points)):
                    words = (_depth(gradient, position), part or "", where)
                    found[id(gradient), position] = model, " ".join(filter(None, words))
    return found


def _levels(configuration: Configuration) -> Iterator[tuple[str, str, Parameters]]:
    """All mappings of parameters: of which model, of which part of the configuration."""
    for name, module in configuration.modules.items():
        of = name or ""
        for entry in module.models:
            yield f"[{entry.model.source().label}]", of, entry.parameters
        for number, part in enumerate(module.slices):
            where = f"{of} slice {number}".strip()
            for entry in part.sources:
                yield f"[{entry.model.source().label}]", where, entry.parameters
            yield "", where, part.parameters
        yield "", of, module.parameters
    yield "", "", configuration.parameters


def _depth(gradient: Gradient, position: int) -> str:
    last = len(gradient.points) - 1
    return f"depth {100 * position / last:.0f}%" if last else ""


def _label(name: str, point: tuple[str, str]) -> str:
    model, rest = point
    return f"{name}{model} {rest}".strip()
