"""Recipes in files, of either kind: our own JSON, or mergekit's YAML."""

from evomerge.run.recipe_files.reading import RecipeFile, load, named

__all__ = ["RecipeFile", "load", "named"]
