"""Folders of collected statistics that a recipe is built with."""

from __future__ import annotations

from collections.abc import Sequence

from evomerge.recipe import Recipe
from evomerge.run import paths
from evomerge.statistics import StatisticsFolder, default_folder

__all__ = ["folders_with"]


def folders_with(recipe: Recipe, folders: Sequence[str | None]) -> StatisticsFolder:
    """The first of some folders that holds everything a recipe names; the first of all where none does.

    Args:
        recipe: The recipe.
        folders: The folders as users write them; None is the one in the user's cache.
    """
    wanted = [key for one in _recipes(recipe) for key in one.statistics]
    opened = [StatisticsFolder(default_folder() if name is None else paths.expanded(name)) for name in folders]
    return next((folder for folder in opened if not folder.missing(wanted)), opened[0])


def _recipes(recipe: Recipe) -> list[Recipe]:
    """A recipe and those inside of it."""
    inside = [source for source in recipe.named() if isinstance(source, Recipe)]
    return [recipe, *(one for source in inside for one in _recipes(source))]
