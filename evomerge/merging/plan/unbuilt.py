"""The parts of a recipe that are read, keep their digest, and that this version cannot build."""

from __future__ import annotations

from collections.abc import Iterator

from evomerge.merging.plan.statistics import miscounted
from evomerge.post import step_problems
from evomerge.recipe import Recipe


def unbuilt(recipe: Recipe) -> Iterator[str]:
    """Names the fields that this version does not build, one sentence each; none for a recipe that it builds."""
    for name, source in [("base", recipe.base), *((f"sources[{i}]", s) for i, s in enumerate(recipe.sources))]:
        if isinstance(source, Recipe):
            yield from (f"{name}.recipe: {problem}" for problem in unbuilt(source))
    for number, layer in enumerate(recipe.layers):
        if layer.scale != 1.0:
            yield (
                f"layers[{number}].scale is {layer.scale:g}, but models do not scale hidden states between layers; "
                "divide instead what this layer and all later ones add to them: the scale of method passthrough, in "
                "groups of the projections that end a block"
            )
    yield from step_problems(recipe.post, recipe.groups)
    yield from miscounted(recipe)
