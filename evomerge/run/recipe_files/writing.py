"""From a recipe to mergekit's YAML."""

from __future__ import annotations

from evomerge.dialects.mergekit.written import written
from evomerge.merging import Checkpoints
from evomerge.recipe import Recipe
from evomerge.run.recipe_files.model_facts import facts_from


def as_mergekit(recipe: Recipe, checkpoints: Checkpoints) -> str:
    """Writes a recipe as a mergekit configuration.

    Args:
        recipe: The recipe.
        checkpoints: Its opened checkpoints.

    Raises:
        InputError: With every field that mergekit has no words for.
    """
    return written(recipe, facts_from(checkpoints))
