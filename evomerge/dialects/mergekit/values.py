"""The values that a configuration gives to each tensor, in the words of our methods."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from evomerge.dialects.mergekit.blocks import Block, Member
from evomerge.dialects.mergekit.model_names import ModelName
from evomerge.dialects.mergekit.parameters import Vocabulary, per_model
from evomerge.dialects.mergekit.settings import Gradient, source
from evomerge.errors import InputError
from evomerge.methods import MergeMethod
from evomerge.recipe import Coefficient

Values = Mapping[str, tuple[float, ...]]
"""Coefficients of one tensor: one number for each merged tensor, or a single one."""

Origins = Mapping[str, tuple[tuple[Gradient, float] | None, ...]]
"""Of each coefficient, the numbers that it is taken from and the depth there; None where nothing is said."""

_SMALL = 1e-8  # a sum of weights below it divides nothing
_NO_SHARES = 1e-6  # nor is it divided into shares


@dataclass(frozen=True)
class Roles:
    """The models of a block as our methods take them.

    Attributes:
        base: Position of the base among the block's sources, where deltas are taken from it; else None.
        merged: Positions of the models that are merged.
        copied: Whether their tensors are copies of the first of them, or of the base.
    """

    base: int | None
    merged: tuple[int, ...]
    copied: bool = False

    @classmethod
    def of(cls, block: Block, method: MergeMethod) -> Roles:
        """Sorts the models of a block.

        Raises:
            InputError: If the method cannot merge them.
        """
        names = [model for model, _ in block.sources]
        base = names.index(block.base) if block.base in names else None
        everyone = tuple(range(len(names)))
        if len(names) == 1 and _copies_one(method, base is not None):
            return cls(base, everyone, True)
        if method.takes_deltas(block.base is not None):
            if block.base is None:
                raise InputError(f"merge_method {method.name} takes differences to a base; set base_model")
            if base is None:
                raise InputError(f"{block.where} does not list base_model {block.base}, which differences are taken to")
            roles = cls(base, tuple(index for index in everyone if index != base))
        elif method.base == "none":
            if base is None:
                raise InputError(f"{block.where}: {method.name} starts from base_model; set it to one of these models")
            roles = cls(None, (base, *(index for index in everyone if index != base)))
        else:
            roles = cls(None, everyone)
        problems = method.input_problems(len(roles.merged), roles.base is not None, block.where)
        if problems:
            raise InputError(problems)
        return roles


def _copies_one(method: MergeMethod, is_base: bool) -> bool:
    """Whether mergekit leaves a model as it is where it is the only one."""
    return is_base if method.base == "required" else method.name not in ("linear", "passthrough")


@dataclass(frozen=True)
class Tensor:
    """One tensor of a merged model with its values.

    Attributes:
        name: Its name.
        options: The method's options, as JSON text.
        values: The method's coefficients; empty where it is a copy.
        origins: Where each value comes from; empty unless it was asked for.
    """

    name: str
    options: str
    values: Values
    origins: Origins = field(default_factory=dict)

    @property
    def copied(self) -> bool:
        """Whether it is a copy of the base, or else of the first model."""
        return not self.values


@dataclass(frozen=True)
class ValuedBlock:
    """A block with its values.

    Attributes:
        block: The block.
        roles: How its models take part.
        tensors: Its tensors.
    """

    block: Block
    roles: Roles
    tensors: tuple[Tensor, ...]

    @property
    def base(self) -> tuple[ModelName, int | None] | None:
        """The base that deltas are taken from, with its layer."""
        return None if self.roles.base is None else self.block.sources[self.roles.base]

    @property
    def inputs(self) -> tuple[tuple[ModelName, int | None], ...]:
        """The merged models, each with its layer."""
        return tuple(self.block.sources[index] for index in self.roles.merged)


def valued(block: Block, words: Vocabulary, *, traced: bool = False) -> ValuedBlock:
    """Looks the values of all tensors of a block up.

    Args:
        block: The block.
        words: The method's words.
        traced: Whether to say where values come from. Deltas without weight then stay deltas.

    Raises:
        InputError: With everything that is missing, or that the method does not take.
    """
    roles = Roles.of(block, words.method)
    problems: dict[str, int] = {}
    tensors: list[Tensor] = []
    for member in block.members:
        try:
            tensors.append(_tensor(block, member, roles, words, traced=traced))
        except InputError as error:
            for problem in error.problems:
                problems[problem] = problems.get(problem, 0) + 1
    if problems:
        raise InputError([f"{block.where}: {problem}{_times(count)}" for problem, count in problems.items()])
    return ValuedBlock(block, roles, tuple(tensors))


def _times(count: int) -> str:
    return f" ({count} tensors)" if count > 1 else ""


def _tensor(block: Block, member: Member, roles: Roles, words: Vocabulary, *, traced: bool) -> Tensor:
    options = words.read_options(block.shared, member.name, member.depth)
    written = json.dumps(options, sort_keys=True)
    if roles.copied:
        return Tensor(member.name, written, {})
    found: dict[str, tuple[float, ...]] = {}
    problems: list[str] = []
    for name in words.coefficients:
        values = list(_looked_up(name, block, member, roles, words))
        missing = [where for where, value in values if value is None]
        problems += [f"parameter {name} is missing for {where}" for where in missing]
        found[name] = tuple(0.0 if value is None else value for _, value in values)
    if problems:
        raise InputError(problems)
    declared = {
        coefficient.name: coefficient for coefficient in words.method.coefficients(words.method.resolve(options))
    }
    own = _ours(words.method, options, declared, found, len(roles.merged))
    idle = words.method.base == "required" and "weight" in own and not any(own["weight"])
    if idle and not (traced and options.get("normalise") == "none"):
        return Tensor(member.name, written, {})
    origins = {name: _sources(name, block, member, roles) for name in words.coefficients} if traced else {}
    return Tensor(member.name, written, own, origins)


def _sources(name: str, block: Block, member: Member, roles: Roles) -> tuple[tuple[Gradient, float] | None, ...]:
    """The numbers that the values of a coefficient are taken from, as :func:`_looked_up` gives these."""
    places = [(block.shared, member.name)]
    if per_model(name):
        places = [(block.levels[index], member.inputs[index]) for index in roles.merged]
    found = [source(levels, name, tensor) for levels, tensor in places]
    return tuple(None if gradient is None else (gradient, member.depth) for gradient in found)


def _looked_up(
    name: str, block: Block, member: Member, roles: Roles, words: Vocabulary
) -> Iterator[tuple[str, float | None]]:
    """A coefficient's value for each merged model, or the one for all, with the words for what lacks it."""
    if not per_model(name):
        yield "the merge", words.read_value(name, block.shared, member.name, member.depth)
        return
    for index in roles.merged:
        model, _ = block.sources[index]
        yield str(model), words.read_value(name, block.levels[index], member.inputs[index], member.depth)


def _ours(
    method: MergeMethod,
    options: Mapping[str, Any],
    declared: Mapping[str, Coefficient],
    values: Mapping[str, tuple[float, ...]],
    count: int,
) -> Values:
    """Mergekit's values in our words."""
    found = dict(values)
    for name, coefficient in declared.items():
        if name not in found:
            neutral = 1.0 / count if coefficient.simplex else coefficient.neutral
            found[name] = (neutral,) * (count if coefficient.per_model else 1)
    if "density" in found:
        found["density"] = tuple(min(density, 1.0) for density in found["density"])
        if options.get("normalise") == "none":  # nothing of a delta is kept: it has no weight
            pairs = list(zip(found["weight"], found["density"], strict=True))
            found["weight"] = tuple(0.0 if density <= 0 else weight for weight, density in pairs)
            found["density"] = tuple(1.0 if density <= 0 else density for _, density in pairs)
    if method.name == "nuslerp" and abs(sum(found["weight"])) < _NO_SHARES:  # halfway, says mergekit
        found["weight"] = (0.5, 0.5)
    if "epsilon" in found:
        found["epsilon"] = tuple(map(_share, found["epsilon"], found["density"]))
    return found


def _share(epsilon: float, density: float) -> float:
    """The half-width of a range of probabilities as a share of the widest that the density allows."""
    widest = min(density, 1.0 - density)
    if widest <= 0:
        return 0.0
    if not 0.0 <= epsilon < widest:
        raise InputError(f"epsilon is {epsilon:g} and density {density:g}; expected their sum and difference in (0, 1)")
    return round(epsilon / widest, 12)  # a share that was written as a width is read as itself


def settled(blocks: Sequence[ValuedBlock], words: Vocabulary) -> tuple[ValuedBlock, ...]:
    """The same with weights divided by their sum, where that lets all tensors have the same options.

    Methods that elect no signs divide by the sum of the weights or do not. Where some tensors want the one and some the
    other, or proportions would be negative, which no share is, the weights themselves are divided.
    """
    choices = words.method.options.get("normalise")
    if choices is None or "votes" in words.method.options or "none" not in (choices.choices or ()):
        return tuple(blocks)
    tensors = [tensor for block in blocks for tensor in block.tensors if not tensor.copied]
    by_sum = [json.loads(tensor.options)["normalise"] == "weight" for tensor in tensors]
    proper = all(min(t.values["weight"]) >= 0 and sum(t.values["weight"]) > 0 for t in tensors)
    if not any(by_sum) or (all(by_sum) and proper):
        return tuple(blocks)
    models = words.method.base == "optional"  # of models, not of deltas, nothing is left without weights
    return tuple(
        replace(block, tensors=tuple(_divided(tensor, models) for tensor in block.tensors)) for block in blocks
    )


def _divided(tensor: Tensor, of_models: bool) -> Tensor:
    options = json.loads(tensor.options)
    if options["normalise"] == "none" or tensor.copied:
        return replace(tensor, options=json.dumps(options | {"normalise": "none"}, sort_keys=True))
    weights = tensor.values["weight"]
    total = sum(weights)
    if abs(total) < _SMALL:
        if of_models:
            raise InputError(f"the weights of tensor {tensor.name!r} sum to zero, so they have no average")
        total = 1.0
    values = {**tensor.values, "weight": tuple(weight / total for weight in weights)}
    return replace(tensor, options=json.dumps(options | {"normalise": "none"}, sort_keys=True), values=values)
