"""The recipe that a search starts from: as its file has it, and over opened checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from evomerge.checkpoints import CheckpointSource
from evomerge.errors import InputError
from evomerge.merging import Checkpoints
from evomerge.recipe import AdapterRef, CheckpointRef, Number, Recipe, layer_of, numbers_of
from evomerge.run import paths

Source = CheckpointRef | AdapterRef | Recipe


@dataclass(frozen=True)
class SearchedRecipe:
    """A recipe and its numbers.

    Attributes:
        recipe: The recipe.
        numbers: Its numbers as the file gives them.
    """

    recipe: Recipe
    numbers: tuple[Number, ...]

    @property
    def base(self) -> CheckpointRef | None:
        """The base, if it is a checkpoint."""
        return self.recipe.base if isinstance(self.recipe.base, CheckpointRef) else None

    @property
    def experts(self) -> tuple[CheckpointRef, ...]:
        """All other checkpoints that the recipe names, those of recipes inside too."""
        unlike = {_place(ref): ref for ref in self.recipe.checkpoints if self.base is None or not _same(ref, self.base)}
        return tuple(unlike.values())

    def opened(self, checkpoints: Checkpoints) -> SearchedRecipe:
        """The same with the references that the checkpoints are opened under.

        Raises:
            InputError: If the recipe records other weights than a checkpoint has.
        """
        known = {_place(ref): ref for ref in checkpoints.by_ref}
        problems: list[str] = []

        def found(ref: CheckpointRef) -> CheckpointRef:
            own = known[_place(ref)]
            if own.fingerprint is not None and ref.fingerprint not in (None, own.fingerprint):
                problems.append(
                    f"recipe: the weights in {ref.source} are not those that it records; put the old ones back, or "
                    "take the fingerprint out of the recipe"
                )
            return replace(own, hub_id=own.hub_id or ref.hub_id)

        recipe = _mapped(self.recipe, found)
        if problems:
            raise InputError(list(dict.fromkeys(problems)))
        return replace(self, recipe=recipe)


def read_recipe(path: str) -> SearchedRecipe:
    """Reads the file of a recipe that is to be searched.

    Raises:
        InputError: If there is none, or it is no recipe.
    """
    recipe = Recipe.load(paths.expanded(path))
    return SearchedRecipe(recipe, tuple(numbers_of(recipe)))


def references(searched: SearchedRecipe, base: CheckpointRef | None) -> list[CheckpointRef]:
    """The checkpoints to open, the recipe's reference first, without the fingerprints that the recipe records.

    Args:
        searched: The recipe.
        base: A base to compare with, which the recipe need not name.
    """
    refs = [*searched.recipe.checkpoints, *([base] if base is not None else [])]
    return list({_place(ref): replace(ref, fingerprint=None) for ref in reversed(refs)}.values())[::-1]


def layers_of(source: CheckpointSource, layer_pattern: str) -> int:
    """Number of layers that the names of a checkpoint's tensors show."""
    return 1 + max((layer for name in source.specs if (layer := layer_of(name, layer_pattern)) is not None), default=-1)


def _mapped(recipe: Recipe, found: Callable[[CheckpointRef], CheckpointRef]) -> Recipe:
    def one(source: Source) -> Source:
        if isinstance(source, Recipe):
            return _mapped(source, found)
        return replace(source, on=found(source.on)) if isinstance(source, AdapterRef) else found(source)

    base = None if recipe.base is None else one(recipe.base)
    return replace(recipe, sources=tuple(map(one, recipe.sources)), base=base)


def _place(ref: CheckpointRef) -> tuple[str, str | None]:
    return ref.source, ref.revision


def _same(one: CheckpointRef, other: CheckpointRef) -> bool:
    return _place(one) == _place(other)
