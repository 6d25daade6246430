"""The recipe that a search starts from: as its file has it, and over opened checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from evomerge import methods
from evomerge.dialects.mergekit.documents import result_of
from evomerge.errors import InputError
from evomerge.recipe import AdapterRef, CheckpointRef, ModelRef, Number, ParameterGroups, Recipe, Source, count_layers
from evomerge.run.recipe_files import RecipeFile
from evomerge.run.run_config import RunConfig

if TYPE_CHECKING:  # the command line reads recipes before it is settled whether the hub may be asked
    from evomerge.checkpoints import CheckpointSource
    from evomerge.merging import Checkpoints


@dataclass(frozen=True)
class RecipeWords:
    """A recipe file as far as it can be read without a look at models; None stands for what it leaves to them.

    Attributes:
        method: The merge method.
        base: The base, if it is a model and not a recipe, and is not merged itself.
        has_base: Whether there is one, of whatever kind.
        experts: All other models that it names, those of recipes inside too.
        options: The method's options.
        dtype: The type that inputs are rounded to.
        out_dtype: The type that merged tensors are rounded to.
        unmatched: What becomes of tensors that not all models have.
    """

    method: str
    base: ModelRef | None
    has_base: bool
    experts: tuple[ModelRef, ...]
    options: Mapping[str, Any] | None = None
    dtype: str | None = None
    out_dtype: str | None = None
    unmatched: str | None = None

    @classmethod
    def read(cls, path: str) -> RecipeWords:
        """Reads a file of either kind.

        Raises:
            InputError: If there is none, or it is no recipe.
        """
        file = RecipeFile.read(path)
        if isinstance(file.content, Recipe):
            recipe = file.content
            methods.load(recipe.method)
            merged = recipe.base in recipe.sources
            own = None if recipe.base is None or isinstance(recipe.base, Recipe) or merged else _plain(recipe.base)
            return cls(
                recipe.method, own, recipe.base is not None and not merged, _others(map(_plain, _leaves(recipe)), own),
                recipe.options, recipe.dtype, recipe.out_dtype, recipe.unmatched,
            )  # fmt: skip
        documents = {document.name for document in file.content}
        result = result_of(file.content)
        names = [name for document in file.content for name in document.names() if name.path not in documents]
        kind = methods.load(result.method).base
        listed = result.base in [entry.model for _, entry in result.entries()]
        merged = kind == "none" or (kind == "optional" and listed)
        own = None
        if result.base is not None and result.base.path not in documents and not merged:
            own = result.base.source()
        experts = _others((name.source() for name in names), own)
        has_base = result.base is not None and not merged
        return cls(result.method, own, has_base, experts, None, result.dtype, result.out_dtype)


@dataclass(frozen=True)
class SearchedRecipe:
    """A recipe and its numbers.

    Attributes:
        recipe: The recipe.
        numbers: Its numbers as the file gives them.
        notes: What the file says without effect.
    """

    recipe: Recipe
    numbers: tuple[Number, ...]
    notes: tuple[str, ...] = ()

    def references(self, base: ModelRef | None) -> list[ModelRef]:
        """The models to open, the recipe's reference first, without the fingerprints that the recipe records.

        Args:
            base: A base to compare with, which the recipe need not name.
        """
        refs = [*self.recipe.references, *([base] if base is not None else [])]
        found: dict[tuple[str | None, ...], ModelRef] = {}
        for ref in refs:
            found.setdefault(ref.place, _plain(ref))
        return list(found.values())

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
            if isinstance(own, CheckpointRef) and isinstance(ref, CheckpointRef):
                return replace(own, hub_id=own.hub_id or ref.hub_id)
            return own

        recipe = _mapped(self.recipe, found)
        if problems:
            raise InputError(list(dict.fromkeys(problems)))
        return replace(self, recipe=recipe)


def read_recipe(config: RunConfig) -> SearchedRecipe | None:
    """Reads the recipe that is searched; for mergekit's YAML also the headers of its models. None if there is none.

    Raises:
        InputError: With everything that is wrong with it.
    """
    if config.recipe is None:
        return None
    try:
        found = RecipeFile.read(config.recipe).translated(offline=bool(config.offline), traced=True)
        recipe = replace(found.recipe, unmatched=config.unmatched)
        if problems := list(_unscored(recipe)):
            raise InputError(problems)
    except InputError as error:
        raise InputError([f"recipe: {problem}" for problem in error.problems]) from error
    return SearchedRecipe(recipe, found.numbers, found.notes)


def layers_of(source: CheckpointSource, layer_pattern: str) -> int:
    """Number of layers that the names of a checkpoint's tensors show."""
    return count_layers(source.specs, layer_pattern)


def depths_of(models: Sequence[Source], checkpoints: Checkpoints, groups: ParameterGroups) -> list[int]:
    """Number of layers of each of some models that are opened checkpoints."""
    opened = [checkpoints[ref] for ref in models if not isinstance(ref, Recipe)]
    return [layers_of(source, groups.layer_pattern) for source in opened]


def _unscored(recipe: Recipe) -> Iterator[str]:
    """The tokenizer of a source that is not the reference: generation ends where the reference's settings say."""
    place = recipe.tokenizer.source
    if isinstance(place, int) and recipe.sources[place] != recipe.first:
        yield (
            f"it gives the model the tokenizer of sources[{place}], but candidates generate by those of the reference; "
            "make that model the base, or the first source, or take its tokens too (tokenizer=union)"
        )


def _leaves(recipe: Recipe) -> Iterator[ModelRef]:
    """The models that a recipe names, those of recipes inside too, as often as they are named."""
    for source in (*recipe.sources, *(() if recipe.base is None else (recipe.base,))):
        if isinstance(source, Recipe):
            yield from _leaves(source)
        else:
            yield source


def _others(refs: Iterator[ModelRef], base: ModelRef | None) -> tuple[ModelRef, ...]:
    """The models other than the base, each once."""
    found = {ref.place: ref for ref in refs}
    return tuple(ref for place, ref in found.items() if base is None or place != base.place)


def _plain(ref: ModelRef) -> ModelRef:
    plain = replace(ref, fingerprint=None)
    return replace(plain, on=replace(plain.on, fingerprint=None)) if isinstance(plain, AdapterRef) else plain


def _mapped(recipe: Recipe, found: Callable[[ModelRef], ModelRef]) -> Recipe:
    def one(source: Source) -> Source:
        return _mapped(source, found) if isinstance(source, Recipe) else found(source)

    base = None if recipe.base is None else one(recipe.base)
    return replace(recipe, sources=tuple(map(one, recipe.sources)), base=base)
