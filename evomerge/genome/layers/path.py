"""A path through the layers of several models, and the recipe that puts its model together.

Akiba et al. 2025 (Evolutionary optimization of model merging recipes, doi:10.1038/s42256-024-00975-8) call the space of
such paths the data flow space: a hidden state goes through layers of any of the models, in any order, some of them
several times, and is scaled where it goes from one layer to another that did not follow it.

No model of transformers scales a hidden state between its layers, but every block that normalises what it reads can do
without: what enters such a block may have any scale, so instead of scaling the hidden state by ``s``, what this layer
and all later ones add to it is divided by ``s``. The last norm takes the common factor away. So a scale stands in the
recipe as the factor of the projections that end a block, which are merged, installed and exported as all weights are;
but for the small constant in the norms it is the published model. Models of other kinds are found out by
:mod:`evomerge.statistics._layerwise.scales`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from evomerge.genome.gene_block import NotExpressible
from evomerge.recipe import Ends, Group, OutputLayer, ParameterGroups, Recipe, Source, layer_of

__all__ = ["LayerPath", "Step", "path_of", "recipe_of", "writers_of"]

_METHOD, _FACTOR = "passthrough", "scale"
_CLOSE = 1e-9
# Parts of the names of projections that add to the hidden state; a model's own are those that occur in its names.
_WRITERS = (
    "o_proj", "out_proj", "c_proj", "down_proj", "attention.dense", "attn.dense", "dense_4h_to_h", "fc2", "fc_out",
    ".w2.", ".wo.",
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One layer of a path.

    Attributes:
        source: Position of the model that it is a layer of.
        layer: Its number there.
        scale: Factor on the hidden state that enters it.
    """

    source: int
    layer: int
    scale: float = 1.0

    def follows(self, before: Step | None) -> bool:
        """Whether the layer before it is that of its own model, or it is the first and comes first there too."""
        last = (self.source, -1) if before is None else (before.source, before.layer)
        return last == (self.source, self.layer - 1)


@dataclass(frozen=True)
class LayerPath:
    """A path.

    Attributes:
        steps: Its layers in their order.
        outside: Position of the model whose embeddings, last norm and head it has.
    """

    steps: tuple[Step, ...]
    outside: int

    def jumps(self) -> Iterator[tuple[int, Step]]:
        """Places and steps at which the path goes on elsewhere than after the layer before."""
        before = None
        for place, step in enumerate(self.steps):
            if not step.follows(before):
                yield place, step
            before = step


def writers_of(names: Iterable[str], layer_pattern: str) -> tuple[str, ...]:
    """Parts of the names of a model's projections that add to the hidden state; empty where none is known."""
    inside = [name for name in names if layer_of(name, layer_pattern) is not None]
    return tuple(part for part in _WRITERS if any(part in name for name in inside))


def recipe_of(path: LayerPath, sources: Sequence[Source], like: Recipe, writers: Sequence[str]) -> Recipe:
    """The recipe of a path's model. Only the models that the path goes through are its sources.

    Args:
        path: The path.
        sources: The models that its positions mean.
        like: A recipe with the patterns that sort tensor names, and the number types.
        writers: Parts of the names of projections that add to the hidden state.
    """
    used = sorted({path.outside, *(step.source for step in path.steps)})
    totals = np.cumprod([step.scale for step in path.steps])
    groups, factors = [], []
    for total, places in groupby(range(len(totals)), key=lambda place: float(totals[place])):
        first, *rest = places
        if total != 1.0:
            end = (rest or [first])[-1] + 1
            groups.append(Group(f"out of {_range(first, end)}", layers=(first, end), filters=tuple(writers)))
            factors.append(1.0 / total)
    around = (used.index(path.outside),)
    return Recipe(
        _METHOD,
        {},
        tuple(sources[place] for place in used),
        None,
        ParameterGroups((*groups, Group("rest", frozen=True)), like.groups.patterns, like.groups.layer_pattern),
        {_FACTOR: np.array([*factors, 1.0])},
        layers=tuple(OutputLayer(((used.index(step.source), step.layer),)) for step in path.steps),
        ends=Ends(around, around),
        dtype=like.dtype,
        out_dtype=like.out_dtype,
    )


def path_of(recipe: Recipe, sources: Sequence[Source], writers: Sequence[str]) -> LayerPath:
    """The path whose recipe this is.

    Args:
        recipe: The recipe.
        sources: The models.
        writers: As of :func:`recipe_of`.

    Raises:
        NotExpressible: If it is of no path through these models.
    """
    other = NotExpressible("the recipe is not that of a path through the layers of this search's models")
    known = [source.identity() for source in sources]
    if recipe.method != _METHOD or not recipe.layers or recipe.ends is None:
        raise other
    places = [known.index(own) if (own := source.identity()) in known else None for source in recipe.sources]
    factors = np.ones(len(recipe.layers))
    for group, factor in zip(recipe.groups.groups, recipe.coefficients[_FACTOR], strict=True):
        if group.layers is not None:
            factors[slice(*group.layers)] = factor
    if None in places or (factors <= 0.0).any():
        raise other
    before = np.concatenate([[1.0], factors[:-1]])
    steps = []
    for layer, now, last in zip(recipe.layers, factors, before, strict=True):
        (source, number), scale = layer.inputs[0], float(last / now)
        steps.append(Step(places[source] or 0, number, 1.0 if abs(scale - 1.0) < _CLOSE else scale))
    path = LayerPath(tuple(steps), places[recipe.ends.before[0]] or 0)
    if not _alike(recipe, recipe_of(path, sources, recipe, writers)):
        raise other
    return path


def _alike(one: Recipe, other: Recipe) -> bool:
    """Whether two recipes of paths are the same but for rounding of their factors."""
    same = all(getattr(one, name) == getattr(other, name) for name in ("layers", "ends", "base", "post", "embeddings"))
    groups = [group.to_json() for group in one.groups.groups] == [group.to_json() for group in other.groups.groups]
    return same and groups and np.allclose(one.coefficients[_FACTOR], other.coefficients[_FACTOR], rtol=_CLOSE, atol=0)


def _range(first: int, end: int) -> str:
    return f"layer {first}" if end == first + 1 else f"layers {first} to {end - 1}"
