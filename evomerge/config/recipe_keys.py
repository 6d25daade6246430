"""A recipe that is searched, beside the other keys: what follows from it, and what contradicts it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from evomerge.config.value_types import written_plainly
from evomerge.errors import InputError
from evomerge.genome import GenomeSettings
from evomerge.run.paths import expanded, is_file, is_folder, sibling
from evomerge.run.recipes.searched import SearchedRecipe, read_recipe

_OWN = ("models", "base", "method", "method_options")
_GENOME = ("bounds", "searched")


def fill(values: dict[str, Any], given: Collection[str]) -> list[str]:
    """Fills in what a recipe says.

    Args:
        values: Dotted key to value; gets models, base, method and its options.
        given: The keys that the user set.

    Returns:
        What is wrong with the recipe, or contradicts it.
    """
    if values.get("recipe") is None:
        marked = values.get("genome.searched")
        return ["genome.searched: marks numbers of a recipe; write recipe=FILE, or leave it out"] if marked else []
    try:
        searched = _read(values["recipe"])
    except InputError as error:
        for key in (*_OWN, "recipe"):
            values.pop(key, None)
        return [f"recipe: {problem}" for problem in error.problems]
    problems = [*_contradictions(values, given, searched), *_genome(values)]
    recipe = searched.recipe
    base = searched.base if recipe.base is not None else values.get("base")
    models = tuple(ref for ref in searched.experts if base is None or ref.place != base.place)
    values |= {"models": models, "base": base, "method": recipe.method, "method_options": dict(recipe.options)}
    values |= {"model.merge_dtype": recipe.dtype, "model.out_dtype": recipe.out_dtype, "unmatched": recipe.unmatched}
    return problems


def _read(path: str) -> SearchedRecipe:
    place = expanded(path)
    if not is_file(place):
        what = f"{path} is a folder" if is_folder(place) else f"there is no file {path}"
        raise InputError(f"{what}; expected a recipe{sibling(place)}")
    searched = read_recipe(path)
    from evomerge import methods  # imports torch, which a mistyped name need not wait for

    problems = methods.load(searched.recipe.method).problems(searched.recipe)
    if problems:
        raise InputError(problems)
    return searched


def _contradictions(values: Mapping[str, Any], given: Collection[str], searched: SearchedRecipe) -> Iterator[str]:
    recipe = searched.recipe
    theirs: dict[str, Any] = {"method": recipe.method, "model.merge_dtype": recipe.dtype}
    theirs |= {"model.out_dtype": recipe.out_dtype, "unmatched": recipe.unmatched}
    for key, value in theirs.items():
        if key in given and values.get(key) not in (value, "auto"):
            yield _refused(key, values.get(key), value)
    if "models" in given and {r.place for r in values.get("models", ())} != {r.place for r in searched.experts}:
        named = [ref.source for ref in searched.experts]
        yield _refused("models", [ref.source for ref in values.get("models", ())], named)
    base = values.get("base")
    own = searched.base
    unlike = base is not None and (own is None or base.place != own.place)
    if "base" in given and recipe.base is not None and base is not None and unlike:
        yield _refused("base", base.source, own.source if own else "another recipe")
    for name, value in values.get("method_options", {}).items():
        if recipe.options.get(name, value) != value:
            yield _refused(f"method_options.{name}", value, recipe.options[name])
    for key in ("patterns", "layer_pattern"):
        if values.get(key):
            yield f"{key}: the recipe has its own; leave it out"


def _refused(key: str, came: Any, theirs: Any) -> str:
    return f"{key}: {written_plainly(came)} contradicts the recipe, which has {written_plainly(theirs)}; leave it out"


def _genome(values: Mapping[str, Any]) -> Iterator[str]:
    """Settings of groups, which are the recipe's."""
    plain = GenomeSettings()
    for key, value in values.items():
        section, _, name = key.partition(".")
        if section != "genome" or name in _GENOME or value == _as_given(getattr(plain, name)):
            continue
        yield (
            f"{key}: the groups are those of the recipe, so leave it out; genome.searched=[COEFFICIENT@GROUP] names "
            "what is searched"
        )


def _as_given(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
