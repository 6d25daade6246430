"""The search space of an existing recipe: its numbers are the genes, everything else stays what it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import InputError, suggest
from evomerge.genome.build import bound_problems
from evomerge.genome.gene_block import Block
from evomerge.genome.number_block import NumberBlock, ShareBlock
from evomerge.genome.settings import GenomeSettings
from evomerge.genome.spec import GenomeSpec
from evomerge.recipe import Cell, Coefficient, Group, Number, Recipe, values_of, without_values

__all__ = ["from_recipe"]

Matrix = NDArray[np.float64]
T = TypeVar("T")


def from_recipe(
    settings: GenomeSettings,
    declared: Sequence[Coefficient],
    recipe: Recipe,
    numbers: Sequence[Number],
    members: Mapping[str, int],
    slots: Mapping[int, int],
) -> GenomeSpec:
    """Builds the search space of a recipe.

    Its groups, layers, frozen groups, inner recipes and steps are those of every candidate. A number that its file
    gives once is one gene, or part of a proportion where only the proportions between the models matter. What is one
    for the whole model (:attr:`Coefficient.whole`) is one gene, whatever the file says it in; where the file gives
    groups unlike values of it, one for each value. The bounds are those of the method, widened to hold the recipe's own
    values.

    Args:
        settings: The user's choices: ``bounds`` and ``searched``.
        declared: The coefficients of the method and of the recipe's steps.
        recipe: The recipe, which fits its method.
        numbers: Its numbers.
        members: Tensors that are merged, and the row of each.
        slots: Number of merged tensors by row, for the rows that some tensor has.

    Returns:
        The space; `GenomeSpec.encode` gives the genome of the recipe.

    Raises:
        InputError: With everything that is wrong with the settings.
    """
    coefficients = {coefficient.name: coefficient for coefficient in declared}
    live = {row: count for row, count in slots.items() if not recipe.groups.groups[row].frozen}
    problems = [*bound_problems(settings, coefficients), *_unknown(settings, coefficients, recipe.groups.groups)]
    if problems:
        raise InputError(problems)
    parts = [
        _Part(settings, coefficient, recipe, [n for n in numbers if n.coefficient == coefficient.name], live)
        for coefficient in declared
    ]
    problems = [problem for part in parts for problem in part.problems()]
    if problems:
        raise InputError(problems)
    blocks = tuple(block for part in parts for block in part.blocks() if block.n_genes)
    if not blocks:
        raise InputError(
            "there is nothing to search: no number of the recipe that is searched changes a tensor that is not frozen"
        )
    constants = {name: np.array(values) for name, values in values_of(recipe).items()}
    pinned = {name: np.zeros(len(recipe.groups.groups), dtype=bool) for name in coefficients}
    return GenomeSpec(without_values(recipe), coefficients, blocks, constants, pinned, dict(members), symmetric=False)


def _unknown(settings: GenomeSettings, declared: Mapping[str, Coefficient], groups: Sequence[Group]) -> Iterator[str]:
    known = ", ".join(declared)
    for name in settings.bounds:
        if name not in declared:
            yield f"genome.bounds names the coefficient {name!r}; the method has {known}{suggest(name, declared)}"
    for mark in settings.searched:
        name, at, pattern = mark.partition("@")
        if name not in declared:
            yield f"genome.searched names the coefficient {name!r}; the method has {known}{suggest(name, declared)}"
        elif at and declared[name].whole:
            yield f"genome.searched names {mark!r}, but {name} is one for the whole model; leave out @{pattern}"
        elif at and not any(_is_in(pattern, group) for group in groups):
            labels = [group.label for group in groups]
            shown = ", ".join(labels[:6]) + (", ..." if labels[6:] else "")
            yield (
                f"genome.searched names {pattern!r}, which matches no group of the recipe; its groups are "
                f"{shown}{suggest(pattern, labels)}"
            )


def _is_in(pattern: str, group: Group) -> bool:
    return fnmatchcase(group.label, pattern) or pattern in (*group.kinds, *group.filters)


class _Part:
    """One coefficient of the recipe: which of its numbers are searched, and between what."""

    def __init__(
        self,
        settings: GenomeSettings,
        coefficient: Coefficient,
        recipe: Recipe,
        numbers: Sequence[Number],
        live: Mapping[int, int],
    ) -> None:
        self.coefficient, self.values = coefficient, values_of(recipe)[coefficient.name]
        marks = [mark.partition("@") for mark in settings.searched]
        own = [pattern for name, _, pattern in marks if name == coefficient.name]
        rows = {
            row
            for row in live
            if any(not pattern or _is_in(pattern, recipe.groups.groups[row]) for pattern in own) or not marks
        }
        self.cells = [
            (row, *slot)
            for row in sorted(rows)
            for slot in ([()] if self.values.ndim == 1 else [(s,) for s in range(live[row])])
        ]
        if not own and not settings.bounds.get(coefficient.name) and not self._said():
            self.cells = []
        found = set(self.cells)
        if coefficient.whole:
            numbers = list(_joined(numbers, self.values, self.cells, [group.label for group in recipe.groups.groups]))
        kept = ((number, {cell: s for cell, s in number.shares.items() if cell in found}) for number in numbers)
        self.numbers = [replace(number, shares=shares) for number, shares in kept if any(shares.values())]
        # Of what a file gives no number for, the value is the method's own.
        self.cells = [cell for cell in self.cells if any(cell in number.shares for number in self.numbers)]
        self.bounds = settings.bounds.get(coefficient.name)

    def _said(self) -> bool:
        """Whether the coefficient is searched by itself, or the recipe says more than leaving it neutral."""
        return self.coefficient.searched or any(self.values[cell] != self.coefficient.neutral for cell in self.cells)

    def problems(self) -> Iterator[str]:
        """Values of the recipe that the user's bounds leave out."""
        if self.bounds is None or not self.cells:
            return
        values = [self.values[cell] for cell in self.cells]
        if min(values) < self.bounds[0] or max(values) > self.bounds[1]:
            yield (
                f"genome.bounds.{self.coefficient.name} is {list(self.bounds)}, but the recipe has values from "
                f"{min(values):g} to {max(values):g}, where the search starts; widen the bounds"
            )

    def blocks(self) -> Iterator[Block]:
        """The genes."""
        for numbers in _connected(self.numbers, by_row=self.coefficient.simplex):
            if self.coefficient.simplex and len(numbers) == 1:
                continue  # a scale of proportions
            cells = [cell for cell in self.cells if any(cell in number.shares for number in numbers)]
            shares = self._shares(numbers, cells) if self.coefficient.simplex else None
            yield shares or self._free(numbers, cells)

    def _free(self, numbers: Sequence[Number], cells: Sequence[Cell]) -> NumberBlock:
        """A gene for each number."""
        weights, labels = _told_apart(_matrix(numbers, cells), [number.label for number in numbers])
        own = np.array([self.values[cell] for cell in cells])
        # Of proportions the scale is one gene too many, which numbers that enter unlike leave no way around.
        high = max(self.coefficient.high, 1.0) if self.coefficient.simplex else self.coefficient.high
        low, high = self.bounds or (min(self.coefficient.low, own.min()), max(high, own.max()))
        places = tuple(np.array(axis, dtype=np.intp) for axis in zip(*cells, strict=True))
        return NumberBlock(self.coefficient.name, places, weights, own, float(low), float(high), tuple(labels))

    def _shares(self, numbers: Sequence[Number], cells: Sequence[Cell]) -> ShareBlock | None:
        """Proportions, where the numbers of all models enter alike."""
        rows = sorted({row for row, *_ in cells})
        counts = {sum(row == other for other, *_ in cells) for row in rows}
        models = max(counts)
        if len(counts) > 1 or (self.values[rows, :models] < 0.0).any():
            return None
        own = [[n for n in numbers if all(slot == s for _, slot in n.shares)] for s in range(models)]
        matrices = [_matrix(mine, [(row, slot) for row in rows]) for slot, mine in enumerate(own)]
        if sum(map(len, own)) < len(numbers) or not all(np.array_equal(matrices[0], other) for other in matrices):
            return None
        places = range(matrices[0].shape[1])
        labels = [[own[slot][place].label for slot in range(models - 1)] for place in places]
        weights, kept = _told_apart(matrices[0], labels)
        values = self.values[rows, :models]
        points = np.linalg.lstsq(weights, values, rcond=None)[0]
        totals = points.sum(axis=1)
        if (points < 0.0).any() or (totals <= 0.0).any():
            return None
        found = tuple(label for labels in kept for label in labels)
        return ShareBlock(self.coefficient.name, np.array(rows, dtype=np.intp), weights, totals, values, found)


def _joined(
    numbers: Sequence[Number], values: Matrix, cells: Sequence[Cell], groups: Sequence[str]
) -> Iterator[Number]:
    """One number for all groups that have one value, of a coefficient that says something of the whole model.

    Args:
        numbers: The numbers as the file gives them.
        values: The recipe's own values.
        cells: The places that are searched.
        groups: Label by row.
    """
    places: dict[tuple[float, ...], list[Cell]] = {}
    for row, *slot in cells:
        places.setdefault((*slot, float(values[row, *slot])), []).append((row, *slot))
    for found in places.values():
        given = [number for number in numbers if any(cell in number.shares for cell in found)]
        if given:
            label = given[0].label
            if len(places) == 1:
                label = label.removesuffix(f" {groups[found[0][0]]}")
            yield Number(label, given[0].coefficient, dict.fromkeys(found, 1.0))


def _connected(numbers: Sequence[Number], *, by_row: bool) -> list[list[Number]]:
    """Sets of numbers that share coefficients; or rows, where the coefficients of a row belong together."""
    sets: dict[Cell, list[int]] = {}
    for index, number in enumerate(numbers):
        joined = [index]
        places = {cell[:1] if by_row else cell for cell in number.shares}
        for known in {id(sets[place]): sets[place] for place in places if place in sets}.values():
            joined += known
            places |= {place for place, members in sets.items() if members is known}
        sets |= dict.fromkeys(places, joined)
    found = {id(members): sorted(members) for members in sets.values()}
    return [[numbers[index] for index in members] for members in sorted(found.values())]


def _matrix(numbers: Sequence[Number], cells: Sequence[Cell]) -> Matrix:
    """From numbers to coefficients, ``(cells, numbers)``."""
    return np.array([[number.shares.get(cell, 0.0) for number in numbers] for cell in cells]).reshape(len(cells), -1)


def _told_apart(weights: Matrix, labels: list[T]) -> tuple[Matrix, list[T]]:
    """The same matrix, or one number for each kind of row where there are too few rows to tell the numbers apart."""
    if np.linalg.matrix_rank(weights) == weights.shape[1]:
        return weights, labels
    rows, place = np.unique(weights, axis=0, return_inverse=True)
    nearest = [labels[int(np.argmax(row))] for row in rows]
    return np.eye(len(rows))[place.ravel()], nearest
