"""One tensor of a recipe's model: what it is merged from, by which values, and where each of them stands."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evomerge.checkpoints import folder_of, is_embedding, is_head, is_vocabulary
from evomerge.dialects.provenance import Said, provenance
from evomerge.errors import InputError, suggest
from evomerge.merging import Merger
from evomerge.merging.plan import Input, MergePlan, OutputTensor, RecipeSource
from evomerge.merging.plan.statistics import keyed, words_for
from evomerge.recipe import Recipe
from evomerge.run.configs.verbs import ExplainConfig
from evomerge.run.export import open_sources
from evomerge.run.recipe_files import RecipeFile
from evomerge.run.recipe_files.model_facts import facts_of

_SHOWN = 5  # names of tensors in an error
_DIGITS = 12  # of a key
_INDENT = "  "


def explain(config: ExplainConfig) -> list[str]:
    """Explains a tensor; headers are read, no weights.

    Args:
        config: The recipe's file and the tensor's name.

    Returns:
        Lines for people: what the file says, if it is mergekit's, and what is merged.

    Raises:
        InputError: If the recipe is wrong, or its model has no such tensor.
    """
    file, offline = RecipeFile.read(config.recipe), bool(config.offline)
    recipe = file.recipe(offline=offline)
    plan = Merger(open_sources(recipe, offline=offline, verify=False)).plan(recipe)
    name = plan.outputs.aliases.get(config.tensor, config.tensor)
    if name not in plan.outputs.tensors:
        raise InputError(_unknown(config.tensor, list(plan.specs)))
    lines = []
    if not isinstance(file.content, Recipe):
        said = provenance(file.content, facts_of(file.checkpoints, offline=offline), name)
        lines += [f"what {config.recipe} says", *(_INDENT + line for line in _table(said)), "what is merged"]
    if name != config.tensor:
        lines.append(f"{config.tensor} is {name}: the head repeats the embeddings")
    return [*lines, *(_INDENT + line for line in _tensor(plan, plan.outputs.tensors[name]))]


def _unknown(name: str, known: Sequence[str]) -> str:
    part = [other for other in known if name in other]
    hint = suggest(name, known)
    embedding = next(filter(is_embedding, known), None)
    if is_head(name) and embedding is not None and not any(map(is_head, known)):
        hint = f"; its files have no head of its own, which repeats the embeddings: ask for {embedding!r}"
    if part and not hint:
        more = f" and {len(part) - _SHOWN} more" if len(part) > _SHOWN else ""
        hint = f"; names that hold it: {', '.join(part[:_SHOWN])}{more}"
    return f"tensor: the recipe's model has no tensor {name!r}{hint or f', but for example {known[0]!r}'}"


def _table(said: Sequence[Said]) -> Iterator[str]:
    """One line for each value, with the document where there are several."""
    if not said:
        yield "nothing: mergekit merges no tensor of this name"
    several = len({one.document for one in said}) > 1
    for one in said:
        model = "" if one.model is None else f" of {one.model}"
        value = "" if one.value is None else f" = {one.value:.6g}"
        yield f"{f'{one.document}: ' if several else ''}{one.parameter}{model}{value}   {one.place}"


def _tensor(plan: MergePlan, tensor: OutputTensor) -> Iterator[str]:
    recipe = plan.recipe
    yield f"{tensor.name}: {_form(tensor.spec.shape, str(tensor.spec.dtype))}"
    if tensor.row is None:
        yield f"copied from {_input(tensor.inputs[0])}: what is no floating-point weight of all models is not merged"
        yield from _inner(tensor.inputs[0])
        return
    group = recipe.groups.groups[tensor.row]
    yield f"group {group.label!r}, row {tensor.row} of the coefficients{_place(recipe, tensor.name)}"
    if tensor.context is None:
        yield f"copied from {_input(tensor.inputs[0])}: the group is frozen"
        yield from _inner(tensor.inputs[0])
        return
    yield f"method {recipe.method}{_options(plan.outputs.options)}; inputs in {recipe.dtype}, arithmetic in float32"
    values = plan.coefficients(tensor)
    for name, value in values.items():
        if not isinstance(value, tuple):
            yield f"{name} = {value:.6g}   coefficients.{name}[{tensor.row}]"
    models = tensor.inputs[1:] if tensor.based else tensor.inputs
    if tensor.based:
        yield f"base {_input(tensor.inputs[0])}"
        yield from _inner(tensor.inputs[0])
    if plan.outputs.tokenizer is not None and is_vocabulary(tensor.name):
        yield f"rows are those of tokens, wherever a model has them{_tokens(recipe)}"
    own = {name: value for name, value in values.items() if isinstance(value, tuple)}
    shares = _shares(plan.outputs.options, own.get("weight", ()))
    for slot, entry in enumerate(models):
        numbers = [
            f"{name} {value[slot]:.6g} (coefficients.{name}[{tensor.row}][{slot}])" for name, value in own.items()
        ]
        numbers += [f"share {shares[slot]:.6g} of the sum of weights"] if shares else []
        yield f"input {slot} {_input(entry)}{': ' if numbers else ''}{', '.join(numbers)}"
        yield from _inner(entry)
    yield from _steps(plan, tensor)
    for need, keys in keyed(plan.outputs.needs, recipe).items():
        yield from (f"reads {words_for(recipe, need, place)} ({key[:_DIGITS]})" for place, key in enumerate(keys))
    if tensor.tail is not None:
        yield f"its last {tensor.tail.shape[0]} rows are those of {_input(tensor.tail)}"


def _steps(plan: MergePlan, tensor: OutputTensor) -> Iterator[str]:
    """The steps after the merge, those that change nothing here as well."""
    assert tensor.row is not None
    for place, step in enumerate(plan.steps):
        numbers = [
            f"{name} {value:.6g} (post[{place}].coefficients.{name}[{tensor.row}])"
            for name, value in step.values(tensor.row).items()
        ]
        idle = [] if place in plan.active[tensor.row] else ["which changes nothing"]
        measured = ["which sees the whole merged delta first"] if step.measures else []
        said = ", ".join([*numbers, *idle, *measured])
        yield f"then step {step.label}{_options(step.options)}{': ' if said else ''}{said}"


def _tokens(recipe: Recipe) -> str:
    """Whose tokens a model has, and those of which the recipe says the embedding."""
    source = recipe.tokenizer.source
    of = f"sources[{source}]" if isinstance(source, int) else source
    named = ", ".join(map(repr, list(recipe.tokenizer.tokens)[:_SHOWN]))
    more = ", ..." if len(recipe.tokenizer.tokens) > _SHOWN else ""
    return f" (tokenizer: {of}{f'; the recipe says the embeddings of {named}{more}' if named else ''})"


def _place(recipe: Recipe, name: str) -> str:
    place = recipe.groups.place(name)
    return f" (layer {place.layer}, {place.kind})" if place.layer is not None else f" ({place.kind})"


def _input(entry: Input) -> str:
    """A tensor that is read, and where it lies."""
    spec = entry.source.specs[entry.name]
    if isinstance(entry.source, RecipeSource):
        return f"{entry.name!r} of the merge {entry.source.plan.recipe.label}"
    rounded = "" if entry.exact else f", rounded to {str(entry.dtype).removeprefix('torch.')}"
    return f"{entry.name!r} of {folder_of(entry.source)} ({_form(spec.shape, str(spec.dtype))}{rounded})"


def _inner(entry: Input) -> Iterator[str]:
    """The same of a merge that is merged again."""
    if isinstance(entry.source, RecipeSource):
        plan = entry.source.plan
        tensor = plan.outputs.tensors[plan.outputs.aliases.get(entry.name, entry.name)]
        yield from (_INDENT + line for line in _tensor(plan, tensor))


def _options(options: Mapping[str, Any]) -> str:
    said = [f"{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in options.items()]
    return f" ({', '.join(said)})" if said else ""


def _shares(options: Mapping[str, Any], weights: tuple[float, ...]) -> tuple[float, ...]:
    """Weights divided by their sum, where the method takes that; methods that elect signs divide each element."""
    total = math.fsum(weights)
    if options.get("normalise") != "weight" or "votes" in options or not total:
        return ()
    return tuple(weight / total for weight in weights)


def _form(shape: Sequence[int], dtype: str) -> str:
    return f"{dtype.removeprefix('torch.')} {list(shape)}"
