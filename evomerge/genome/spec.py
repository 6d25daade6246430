"""The search space itself: genomes to recipes and back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evomerge.genome.gene_block import TOLERANCE, Block, NotExpressible
from evomerge.genome.layers.genes import DepthGenes
from evomerge.recipe import Coefficient, Group, Recipe, Source, step_labels, values_of, with_values, without_values

__all__ = ["GenomeSpec", "NotExpressible"]


@dataclass(frozen=True, eq=False)
class GenomeSpec:
    """Which recipes a search can propose. Made by `build`, or by `from_recipe`.

    Attributes:
        template: Recipe with everything but the coefficients.
        declared: The coefficients of the method, and of steps after the merge, by name.
        gene_blocks: The searched parts, in the order of the genes.
        constants: Coefficient to array of the recipe's shape: what holds where nothing is searched.
        pinned: Coefficient to mask over groups: where the user fixed a value.
        members: Tensor name to index of its group.
        symmetric: Whether method and steps take models in any order, if their coefficients go with them.
        depth: The genes of the layers, which come last; None where they are those of the models.
    """

    template: Recipe
    declared: Mapping[str, Coefficient]
    gene_blocks: tuple[Block, ...]
    constants: Mapping[str, NDArray[np.float64]]
    pinned: Mapping[str, NDArray[np.bool_]]
    members: Mapping[str, int]
    symmetric: bool
    depth: DepthGenes | None = None

    @property
    def n_var(self) -> int:
        """Number of genes."""
        return len(self.labels)

    @property
    def labels(self) -> tuple[str, ...]:
        """Meaning of each gene, for example ``weight[expert_s] layer 3 attention``."""
        own = tuple(label for block in self.gene_blocks for label in block.labels)
        return own if self.depth is None else (*own, *self.depth.labels)

    @property
    def groups(self) -> tuple[Group, ...]:
        """The groups of every decoded recipe."""
        return self.template.groups.groups

    def decode(self, x: ArrayLike) -> Recipe:
        """The recipe that a genome stands for.

        Args:
            x: Genes in [0, 1], ``(n_var,)``.

        Returns:
            The recipe. Different genomes of the open cube give different recipes, but for genes that are switches
            or that say which layers come.

        Raises:
            ValueError: if ``x`` has another shape, is not finite, or leaves [0, 1]; nothing is clamped.
        """
        genes = np.asarray(x, dtype=np.float64)
        if genes.shape != (self.n_var,):
            raise ValueError(f"expected a genome of shape ({self.n_var},), got {genes.shape}")
        wrong = [f"{self.labels[i]} = {genes[i]}" for i in np.flatnonzero(~((genes >= 0.0) & (genes <= 1.0)))]
        if wrong:
            raise ValueError(f"expected genes in [0, 1], got {', '.join(wrong[:5])}")
        values = {name: array.copy() for name, array in self.constants.items()}
        start = 0
        for block in self.gene_blocks:
            stop = start + block.n_genes
            block.put(genes[start:stop], values[block.coefficient])
            start = stop
        recipe = with_values(self.template, values)
        return recipe if self.depth is None else self.depth.applied(recipe, genes[start:])

    def encode(self, recipe: Recipe) -> NDArray[np.float64]:
        """A genome that decodes to a recipe.

        The recipe may come from another search of the same method, options and models, whose groups were others:
        coefficients are compared tensor by tensor. The models may come in another order where the space is symmetric
        and there is a base; without one the first model is the reference. Seed and dtypes are not compared, they are
        this search's own.

        Args:
            recipe: The recipe to express.

        Returns:
            Genes in [0, 1], ``(n_var,)``. ``encode(decode(x))`` is ``x`` in the open cube.

        Raises:
            NotExpressible: naming what has no counterpart here.
        """
        if self.depth is not None:
            inner, last = self.depth.read(recipe, with_values(self.template, self.constants))
            return np.concatenate([self._whole.encode(inner), last])
        values = values_of(recipe)
        alike = {name: array.shape for name, array in values.items()}
        same = alike == {name: array.shape for name, array in self.constants.items()}
        if not (same and without_values(recipe) == self.template):
            values = self._regrouped(recipe, self._model_order(recipe))
        for name, constant in self.constants.items():
            searched = np.zeros(constant.shape, dtype=bool)
            for block in self.gene_blocks:
                if block.coefficient == name:
                    block.mark(searched)
            off = ~searched & (np.abs(values[name] - constant) > TOLERANCE)
            for row, group in enumerate(self.groups):
                if off[row].any() and not group.frozen:
                    raise NotExpressible(f"{name} of {group.label} is not searched and differs from {constant[row]}")
        return np.concatenate([np.zeros(0), *(block.take(values[block.coefficient]) for block in self.gene_blocks)])

    def recipe(self, coefficients: Mapping[str, float | Sequence[float]]) -> Recipe:
        """The recipe with the same values everywhere, save where the user fixed others.

        Args:
            coefficients: Coefficient to one value, or to one per model. What is not named is neutral.

        Returns:
            The recipe; it need not lie within the search's bounds.

        Raises:
            ValueError: if a coefficient is unknown or has the wrong number of values.
        """
        values = {name: array.copy() for name, array in self.constants.items()}
        for name, value in coefficients.items():
            if name not in self.declared:
                raise ValueError(f"{self.template.method} has no coefficient {name!r}")
            row = spread(self.declared[name], value, len(self.template.sources))
            for index, group in enumerate(self.groups):
                if not group.frozen and not self.pinned[name][index]:
                    values[name][index] = row
        return with_values(self.template, values)

    def over(self, sources: Sequence[Source], coefficients: Mapping[str, float | Sequence[float]]) -> Recipe:
        """The recipe of other sources with the same values everywhere, save where the user fixed others.

        Args:
            sources: What is merged instead of the space's own models.
            coefficients: As of `recipe`, for so many sources.

        Raises:
            ValueError: As `recipe`; or if the user fixed values that are not the same for all models.
        """
        values = {}
        for name, declared in self.declared.items():
            neutral = 1.0 / len(sources) if declared.simplex else declared.neutral
            row = spread(declared, coefficients.get(name, [neutral] * len(sources) if declared.per_model else neutral),
                         len(sources))  # fmt: skip
            array = np.broadcast_to(row, (len(self.groups), *row.shape)).copy()
            for index in np.flatnonzero(self.pinned[name]):
                fixed = np.unique(self.constants[name][index])
                if len(fixed) > 1:
                    raise ValueError(f"{name} of {self.groups[index].label} is fixed to a value for each model")
                array[index] = fixed[0]
            values[name] = array
        return with_values(replace(self.template, sources=tuple(sources)), values)

    def starts(
        self, points: Mapping[str, Mapping[str, float | Sequence[float]]]
    ) -> tuple[tuple[str, ...], NDArray[np.float64]]:
        """Genomes of named points of the method, leaving out those that this space does not hold.

        Args:
            points: Name to coefficient values, the same everywhere.

        Returns:
            The names that are expressible, and their genomes, ``(names, n_var)``, each genome once.
        """
        if self.depth is not None:
            names, rows = self._whole.starts(points)
            if not self.gene_blocks:
                names, rows = names or ("merge",), np.zeros((max(1, len(names)), 0))
            names, rows = self.depth.started(names, rows)
            return names, rows.reshape(len(names), self.n_var)
        found: dict[bytes, tuple[str, NDArray[np.float64]]] = {}
        for name, coefficients in points.items():
            try:
                genes = self.encode(self.recipe(coefficients))
            except NotExpressible:
                continue
            found.setdefault(genes.tobytes(), (name, genes))
        genomes = [genes for _, genes in found.values()]
        return tuple(name for name, _ in found.values()), np.array(genomes).reshape(len(genomes), self.n_var)

    @property
    def _whole(self) -> GenomeSpec:
        """The space of the models with all layers."""
        return replace(self, depth=None)

    def _model_order(self, recipe: Recipe) -> list[int]:
        """For each of our models, its index in the recipe."""
        ours, base = self.template, recipe.base
        if recipe.layers or recipe.embeddings != "merge":
            raise NotExpressible("the recipe has layers or embeddings that no gene of this search stands for")
        if (steps := without_values(recipe).post) != ours.post:
            named = ", ".join(step_labels([step.name for step in steps])) or "none"
            raise NotExpressible(f"the recipe has other steps after the merge or other options of them: {named}")
        if recipe.method != ours.method or dict(recipe.options) != dict(ours.options):
            raise NotExpressible(f"the recipe uses {recipe.method} with options {dict(recipe.options)}")
        if (base and base.identity()) != (ours.base and ours.base.identity()):
            raise NotExpressible(f"the recipe's base is {base.label if base else None}")
        theirs = [model.identity() for model in recipe.sources]
        wanted = [model.identity() for model in ours.sources]
        if len(theirs) != len(wanted) or any(theirs.count(model) != wanted.count(model) for model in wanted):
            raise NotExpressible(f"the recipe merges {', '.join(model.label for model in recipe.sources)}")
        order: list[int] = []
        for model in wanted:
            order.append(next(i for i, other in enumerate(theirs) if other == model and i not in order))
        if order != sorted(order) and (base is None or not self.symmetric):
            raise NotExpressible("the recipe merges the models in another order")
        return order

    def _regrouped(self, recipe: Recipe, order: Sequence[int]) -> dict[str, NDArray[np.float64]]:
        """The recipe's coefficients on our groups."""
        given = values_of(recipe)
        missing = sorted(set(self.constants) ^ set(given))
        if missing:
            raise NotExpressible(f"only one of recipe and search has the coefficients {', '.join(missing)}")
        source: dict[int, int] = {}
        for tensor, row in self.members.items():
            other = recipe.groups.index(tensor)
            if recipe.groups.groups[other].frozen != self.groups[row].frozen:
                raise NotExpressible(f"{self.groups[row].label} is frozen in only one of recipe and search")
            first = source.setdefault(row, other)
            different = first != other and any(
                not np.array_equal(values[first], values[other]) for values in given.values()
            )
            if different and not self.groups[row].frozen:
                raise NotExpressible(f"the recipe has several values within {self.groups[row].label}")
        regrouped = {}
        for name, values in given.items():
            if values.ndim != self.constants[name].ndim:
                raise NotExpressible(f"{name} is per model in only one of recipe and search")
            rows = values[[source[row] for row in range(len(self.groups))]]
            regrouped[name] = rows[:, list(order)] if rows.ndim == 2 else rows
        return regrouped


def is_number(value: object) -> bool:
    """Whether a value is a finite number that a float can hold; truth values are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer of hundreds of digits
        return False


def spread(coefficient: Coefficient, value: float | Sequence[float], models: int) -> NDArray[np.float64]:
    """One group's row of a coefficient from one value, or from one per model; proportions are made to add up to 1.

    Returns:
        ``(models,)``, or ``()`` when the coefficient is shared.

    Raises:
        ValueError: if the number of values is wrong or proportions cannot be made of them.
    """
    given: Sequence[object] = value if isinstance(value, list | tuple) else (value,)
    fits = given is not value or (coefficient.per_model and len(given) == models)
    if not fits or not all(map(is_number, given)):
        wanted = f"one number, or {models}: one per model" if coefficient.per_model else "one number"
        raise ValueError(f"{coefficient.name} is {value!r}; expected {wanted}")
    row = np.asarray(value, dtype=np.float64)
    if not coefficient.per_model:
        return row
    row = np.broadcast_to(row, (models,)).copy()
    if coefficient.simplex:
        if (row < 0.0).any() or row.sum() <= 0.0:
            raise ValueError(
                f"{coefficient.name} is {value!r}; expected proportions: none negative, and not all zero "
                "(negative weights need a method or option that does not normalise)"
            )
        row /= row.sum()
    return row
