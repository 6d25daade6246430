"""Genes of a model's depth, which come after those of coefficients: which layers it has, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evomerge.genome.gene_block import NotExpressible
from evomerge.genome.layers.path import LayerPath, Step, path_of, recipe_of
from evomerge.genome.layers.walks import Walk
from evomerge.genome.weight_rules import middle_of, whole
from evomerge.recipe import Recipe, Source

__all__ = ["BOTH", "MERGE", "MODELS", "THROUGH", "DepthGenes", "PathGenes", "unwrapped"]

Genes = NDArray[np.float64]
MODELS, MERGE, BOTH = "models", "merge", "both"
THROUGH = (MODELS, MERGE, BOTH)


class DepthGenes(Protocol):
    """Genes that give a recipe other layers than those of its models."""

    @property
    def labels(self) -> tuple[str, ...]:
        """One per gene."""

    def applied(self, recipe: Recipe, genes: Genes) -> Recipe:
        """The recipe of the model with other layers.

        Args:
            recipe: The recipe of the model with those of its sources.
            genes: In [0, 1], ``(n_genes,)``.
        """

    def read(self, recipe: Recipe, plain: Recipe) -> tuple[Recipe, Genes]:
        """The recipe of the model with the layers of its sources, and the genes that make this one of it.

        Args:
            recipe: The recipe.
            plain: What such a recipe is where none can be seen in it.

        Raises:
            NotExpressible: If there are none.
        """

    def started(self, names: Sequence[str], rows: Genes) -> tuple[tuple[str, ...], Genes]:
        """Names and genomes ``(k, n_var)`` of known points.

        Args:
            names: Those of known points of the coefficients.
            rows: Their genes, ``(names, genes of coefficients)``.
        """


@dataclass(frozen=True)
class PathGenes:
    """The genes of a path through the layers of models, of their merge, or of both.

    Attributes:
        walk: The genes of its layers.
        models: Labels of what it goes through, the merge last.
        through: ``models``, ``merge`` or ``both``.
        writers: See :func:`~evomerge.genome.layers.path.recipe_of`.
        layers: Number of layers of each model, the merge's the last.
        outside: Position of the model whose embeddings, last norm and head all paths have; None where a gene, the
            last one, says which.
    """

    walk: Walk
    models: tuple[str, ...]
    through: str
    writers: tuple[str, ...]
    layers: tuple[int, ...]
    outside: int | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """One per gene."""
        around = () if self.outside is not None else ("model of embeddings, last norm and head",)
        return (*self.walk.labels(self.models), *around)

    def applied(self, recipe: Recipe, genes: Genes) -> Recipe:
        """See :meth:`DepthGenes.applied`."""
        chosen = self.outside
        if chosen is None:
            chosen, genes = whole(genes[-1], len(self.models)), genes[:-1]
        return recipe_of(LayerPath(self.walk.steps(genes), chosen), self._sources(recipe), recipe, self.writers)

    def read(self, recipe: Recipe, plain: Recipe) -> tuple[Recipe, Genes]:
        """See :meth:`DepthGenes.read`."""
        known = [source.identity() for source in plain.sources]
        inner = [s for s in recipe.sources if isinstance(s, Recipe) and s.identity() not in known]
        merged = inner[0] if inner and self.through != MODELS else plain
        path = path_of(recipe, self._sources(merged), self.writers)
        if self.outside not in (None, path.outside):
            raise NotExpressible(f"the embeddings are not those of {self.models[self.outside or 0]}")
        around = [] if self.outside is not None else [middle_of(path.outside, len(self.models))]
        return merged, np.array([*self.walk.genes(path.steps), *around])

    def started(self, names: Sequence[str], rows: Genes) -> tuple[tuple[str, ...], Genes]:
        """Plain paths: of each model, and of the merge at each known point."""
        found: list[tuple[str, Genes]] = []
        for model, label in enumerate(self.models):
            merge = self.through != MODELS and model == len(self.models) - 1
            for name, row in zip(names, rows, strict=True):
                found.append((f"path of {name if merge else label}", np.array([*row, *self._plain(model)])))
                if not merge:  # whose coefficients have no effect
                    break
        return tuple(name for name, _ in found), np.array([row for _, row in found])

    def _plain(self, model: int) -> Genes:
        """Genes of all layers of one model, with what is around them where that is free."""
        steps = [Step(model, layer) for layer in range(self.layers[model])]
        around = [] if self.outside is not None else [middle_of(model, len(self.models))]
        return np.array([*self.walk.genes(steps), *around])

    def _sources(self, recipe: Recipe) -> tuple[Source, ...]:
        """The models that the path goes through, from the recipe of the merge."""
        models = recipe.sources if self.through != MERGE else ()
        return models if self.through == MODELS else (*models, unwrapped(recipe))

    def longest(self, recipe: Recipe) -> Recipe:
        """The recipe of a path with as many layers as any has, for what models of this space take."""
        path = LayerPath(tuple(Step(0, place % self.layers[0]) for place in range(self.walk.most)), 0)
        return recipe_of(path, self._sources(recipe), recipe, self.writers)

    def turned(self, recipe: Recipe) -> Recipe:
        """The recipe of a recipe's first source, backwards where layers may stand elsewhere."""
        steps = [Step(0, layer) for layer in range(self.layers[0])]
        path = LayerPath(tuple(reversed(steps) if self.walk.moves else steps), 0)
        return recipe_of(path, recipe.sources, recipe, self.writers)

    def alone(self, recipe: Recipe) -> tuple[Recipe, ...]:
        """The recipes of a recipe's sources as paths, each of all layers of one, with what is around the first's."""
        paths = [LayerPath(tuple(Step(at, layer) for layer in range(count)), 0) for at, count in enumerate(self.layers)]
        return tuple(recipe_of(path, recipe.sources, recipe, self.writers) for path in paths)

    def two_layers(self, recipe: Recipe, scale: float) -> Recipe:
        """The recipe of the first two layers of a recipe's first source, with a scale on the way to the second."""
        path = LayerPath((Step(0, 0), Step(0, 1, scale)), 0)
        return recipe_of(path, recipe.sources, recipe, self.writers)


def unwrapped(recipe: Recipe) -> Source:
    """The model of a recipe: that which it names, where it is one model as it is."""
    alone = recipe.method == "linear" and len(recipe.sources) == 1 and recipe.base is None
    return recipe.sources[0] if alone and not (recipe.post or recipe.layers) else recipe
