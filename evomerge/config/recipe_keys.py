"""A recipe that is searched, beside the other keys: what follows from it, and what contradicts it."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from evomerge.config.model_names import missing
from evomerge.config.value_types import written_plainly
from evomerge.errors import InputError
from evomerge.genome import GenomeSettings
from evomerge.recipe import ModelRef
from evomerge.run.paths import expanded, is_file, is_folder, sibling

if TYPE_CHECKING:  # imports torch, which verbs without recipes do without
    from evomerge.run.recipes.searched import RecipeWords

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
    name = str(values["recipe"])
    try:
        words = _read(name)
    except InputError as error:
        for key in (*_OWN, "recipe"):
            values.pop(key, None)
        return [f"recipe: {problem if name in problem else f'{name}: {problem}'}" for problem in error.problems]
    problems = [*_contradictions(values, given, words), *_genome(values)]
    base = words.base if words.has_base else values.get("base")
    models = tuple(ref for ref in words.experts if base is None or ref.place != base.place)
    values |= {"models": models, "base": base, "method": words.method, "method_options": dict(words.options or {})}
    theirs = {"model.merge_dtype": words.dtype, "model.out_dtype": words.out_dtype}
    values |= {key: value for key, value in theirs.items() if value is not None}
    if "unmatched" not in given and words.unmatched is not None:
        values["unmatched"] = words.unmatched
    return problems + _absent(name, values, {"models": models, "base": (words.base,) if words.base else ()})


def _read(path: str) -> RecipeWords:
    place = expanded(path)
    if not is_file(place):
        what = f"{path} is a folder" if is_folder(place) else f"there is no file {path}"
        raise InputError(f"{what}; expected a recipe{sibling(place)}")
    from evomerge.run.recipes.searched import RecipeWords

    return RecipeWords.read(path)


def _absent(name: str, values: dict[str, Any], refs: Mapping[str, Iterable[ModelRef]]) -> list[str]:
    """Models of a recipe whose folders are not there; what they are under is taken out, so nobody tells it again."""
    problems = {key: [found for ref in own if (found := missing(ref))] for key, own in refs.items()}
    for key in (key for key, found in problems.items() if found):
        values.pop(key)
    return [f"recipe: {name}: {problem}" for problem in dict.fromkeys(itertools.chain(*problems.values()))]


def _contradictions(values: Mapping[str, Any], given: Collection[str], words: RecipeWords) -> Iterator[str]:
    theirs = {"method": words.method, "model.merge_dtype": words.dtype, "model.out_dtype": words.out_dtype}
    for key, value in theirs.items():
        if key in given and values.get(key) not in (value, "auto"):
            yield _refused(key, values.get(key), value or "that of its models")
    if "models" in given and {r.place for r in values.get("models", ())} != {r.place for r in words.experts}:
        named = [ref.source for ref in words.experts]
        yield _refused("models", [ref.source for ref in values.get("models", ())], named)
    base, own = values.get("base"), words.base
    unlike = base is not None and (own is None or base.place != own.place)
    if "base" in given and words.has_base and base is not None and unlike:
        yield _refused("base", base.source, own.source if own else "another recipe")
    for name, value in values.get("method_options", {}).items():
        if words.options is None or words.options.get(name, value) != value:
            yield _refused(f"method_options.{name}", value, (words.options or {}).get(name, "its own"))
    for key in ("patterns", "layer_pattern", *(key for key in ("embeddings", "tokenizer") if key in given)):
        if values.get(key):
            yield f"{key}: the recipe has its own; leave it out"


def _refused(key: str, came: Any, theirs: Any) -> str:
    return f"{key}: {written_plainly(came)} contradicts the recipe, which has {written_plainly(theirs)}; leave it out"


def _genome(values: Mapping[str, Any]) -> Iterator[str]:
    """Settings of groups, which are the recipe's."""
    plain = GenomeSettings()
    for key, value in values.items():
        section, _, name = key.partition(".")
        if section != "genome" or name in _GENOME or _as_given(value) == _as_given(getattr(plain, name)):
            continue
        if key == "genome.depth" and value == "layer":  # the default once, so commands may have it
            continue
        yield (
            f"{key}: the groups are those of the recipe, so leave it out; genome.searched=[COEFFICIENT@GROUP] names "
            "what is searched"
        )


def _as_given(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
