"""The recipe that a search starts from: as its file has it, and over opened checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evomerge.errors import InputError
from evomerge.recipe import AdapterRef, CheckpointRef, ModelRef, Number, Recipe, layer_of, numbers_of
from evomerge.run import paths

if TYPE_CHECKING:  # the command line reads recipes before it is settled whether the hub may be asked
    from evomerge.checkpoints import CheckpointSource
    from evomerge.merging import Checkpoints

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
    def experts(self) -> tuple[ModelRef, ...]:
        """All other checkpoints and adapters that the recipe names, those of recipes inside too."""
        named = {ref.place: ref for ref in _named(self.recipe) if self.base is None or ref.place != self.base.place}
        return tuple(named.values())

    def opened(self, checkpoints: Checkpoints) -> SearchedRecipe:
        """The same with the references that the checkpoints are opened under.

        Raises:
            InputError: If the recipe records other weights than a checkpoint has.
        """
        known = {ref.place: ref for ref in checkpoints.by_ref}
        problems: list[str] = []

        def found(ref: ModelRef) -> ModelRef:
            own = known[ref.place]
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


def references(searched: SearchedRecipe, base: ModelRef | None) -> list[ModelRef]:
    """The checkpoints and adapters to open, the recipe's reference first, without the fingerprints that it records.

    Args:
        searched: The recipe.
        base: A base to compare with, which the recipe need not name.
    """
    refs = [*searched.recipe.references, *([base] if base is not None else [])]
    return list({ref.place: _unrecorded(ref) for ref in reversed(refs)}.values())[::-1]


def layers_of(source: CheckpointSource, layer_pattern: str) -> int:
    """Number of layers that the names of a checkpoint's tensors show."""
    return 1 + max((layer for name in source.specs if (layer := layer_of(name, layer_pattern)) is not None), default=-1)


def _mapped(recipe: Recipe, found: Callable[[ModelRef], ModelRef]) -> Recipe:
    def one(source: Source) -> Source:
        return _mapped(source, found) if isinstance(source, Recipe) else found(source)

    base = None if recipe.base is None else one(recipe.base)
    return replace(recipe, sources=tuple(map(one, recipe.sources)), base=base)


def _named(recipe: Recipe) -> Iterator[ModelRef]:
    """The models that a recipe names by themselves: not what its adapters are on. Its reference's comes first."""
    first = recipe.first
    for source in (first, *recipe.sources):
        if isinstance(source, Recipe):
            yield from _named(source)
        else:
            yield source


def _unrecorded(ref: ModelRef) -> ModelRef:
    plain = replace(ref, fingerprint=None)
    return replace(plain, on=replace(plain.on, fingerprint=None)) if isinstance(plain, AdapterRef) else plain
