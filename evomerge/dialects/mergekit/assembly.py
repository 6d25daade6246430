"""From blocks with their values to a recipe."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evomerge import methods
from evomerge.dialects.mergekit.grouping import grouped, patterned
from evomerge.dialects.mergekit.model_names import ModelName
from evomerge.dialects.mergekit.values import Tensor, ValuedBlock, Values
from evomerge.errors import InputError
from evomerge.methods import MergeMethod
from evomerge.recipe import Ends, OutputLayer, ParameterGroups, Recipe, Source

_Part = tuple[str, str, ModelName | None, tuple[ModelName, ...]]
"""Method, options, base and, where models are merged layer by layer, the models: one recipe has one of each."""

_COPYING = "passthrough"


@dataclass(frozen=True)
class Frame:
    """The parts of a recipe besides its tensors' values.

    Attributes:
        method: The merge method.
        base: The configuration's base, whose config and tokenizer the model gets.
        dtype: The type that inputs are rounded to.
        out_dtype: The type that merged tensors are rounded to.
        preferred: Parts of names that the configuration asks for.
        source: Gives the source of a name.
        finish: Gives a recipe of these models the configuration's tokenizer and chat template.
    """

    method: MergeMethod
    base: ModelName | None
    dtype: str
    out_dtype: str
    preferred: frozenset[str]
    source: Callable[[ModelName], Source]
    finish: Callable[[Recipe], Recipe]


def assembled(blocks: Sequence[ValuedBlock], stacked: bool, frame: Frame) -> Recipe:
    """Makes the recipe of some blocks.

    A recipe has one set of options, one base and, without layers of its own, one list of models. Where tensors differ
    in these, there is a recipe for each, which copies the tensors of the others, and a recipe that picks from them.

    Args:
        blocks: All blocks of the model.
        stacked: Whether it is put together from layers.
        frame: What else the recipe has.

    Raises:
        InputError: If no recipe says it.
    """
    alone = all(block.roles.copied for block in blocks)
    blocks = [_passed(block) if block.roles.copied and (alone or _foreign(block, frame)) else block for block in blocks]
    belongs = {tensor.name: _part(block, tensor, frame, stacked) for block in blocks for tensor in block.tensors}
    known = [part for part in dict.fromkeys(belongs.values()) if part is not None]
    if not known:  # all tensors are copies
        options = json.dumps(frame.method.stated(_usual(frame.method)))
        known = [(frame.method.name, options, blocks[0].block.base, () if stacked else _models(blocks[0]))]
    found = []
    for part in known:
        own = {name for name, other in belongs.items() if other in (part, None)}
        found.append(frame.finish(_Assembly(frame, part, blocks, own, stacked).recipe()))
    if len(found) == 1:
        return found[0]
    classes = {name: 0 if part is None else known.index(part) for name, part in belongs.items()}
    rows = grouped(classes, frame.preferred)
    groups = patterned([group for group, _ in rows], classes)
    weight = np.eye(len(found))[[of for _, of in rows]]
    linear = methods.load("linear").stated({"normalise": "none"})
    return Recipe("linear", linear, tuple(found), None, groups, {"weight": weight}, out_dtype=frame.out_dtype)


def _usual(method: MergeMethod) -> Mapping[str, Any]:
    said = method.mergekit_parameters
    return {} if said is None else said.read(dict(said.defaults))


def _foreign(block: ValuedBlock, frame: Frame) -> bool:
    """Whether a block copies a model of a recipe whose copies are those of another, its base."""
    copied, _ = block.inputs[0]
    base = frame.base if frame.method.base == "optional" else block.block.base
    return base not in (None, copied)


def _passed(block: ValuedBlock) -> ValuedBlock:
    """The same block, its only model passed through rather than merged with nothing."""
    options = json.dumps(methods.load(_COPYING).stated({}), sort_keys=True)
    return replace(block, tensors=tuple(Tensor(tensor.name, options, {"scale": (1.0,)}) for tensor in block.tensors))


def _models(block: ValuedBlock) -> tuple[ModelName, ...]:
    return tuple(model for model, _ in block.inputs)


def _part(block: ValuedBlock, tensor: Tensor, frame: Frame, stacked: bool) -> _Part | None:
    """The part that merges a tensor; None for copies, which every part of the same models makes."""
    if tensor.copied and stacked:
        return None
    models = () if stacked else _models(block)
    if block.roles.copied and not tensor.copied:
        return _COPYING, tensor.options, None, models
    return frame.method.name, tensor.options, None if block.base is None else block.base[0], models


@dataclass(frozen=True)
class _Assembly:
    """One recipe: of the tensors that one part merges; the others are copies."""

    frame: Frame
    part: _Part
    blocks: Sequence[ValuedBlock]
    own: set[str]
    stacked: bool

    @property
    def method(self) -> MergeMethod:
        """Its method: the frame's, or the one that copies."""
        return methods.load(self.part[0])

    def _inputs(self, block: ValuedBlock) -> tuple[tuple[ModelName, int | None], ...]:
        """The models of a block, of which the method that copies takes the first."""
        return block.inputs[:1] if self.part[0] == _COPYING else block.inputs

    def recipe(self) -> Recipe:
        """The recipe."""
        _, options, base, models = self.part
        names = models or tuple(dict.fromkeys(model for block in self.blocks for model, _ in self._inputs(block)))
        layers, ends = self._layers(names) if self.stacked else ((), None)
        slots = max(len(names), *(len(layer.inputs) for layer in layers)) if layers else len(names)
        groups, coefficients = self._rows(json.loads(options), slots)
        recipe = Recipe(
            self.method.name,
            json.loads(options),
            tuple(map(self.frame.source, names)),
            self._base(base),
            groups,
            coefficients,
            layers=layers,
            ends=ends,
            dtype=self.frame.dtype,
            out_dtype=self.frame.out_dtype,
        )
        if problems := self.method.problems(recipe):
            raise InputError(problems)
        return recipe

    def _base(self, base: ModelName | None) -> Source | None:
        """The base: that of the deltas, or of a method without deltas the one that config and tokenizer come from."""
        taken = self.frame.base if self.method.base == "optional" else base
        return None if taken is None else self.frame.source(taken)

    def _layers(self, names: Sequence[ModelName]) -> tuple[tuple[OutputLayer, ...], Ends | None]:
        layers: list[tuple[int, OutputLayer]] = []
        outside: list[tuple[int, ...]] = []
        for block in self.blocks:
            inputs = tuple((names.index(model), layer or 0) for model, layer in self._inputs(block))
            if block.block.layer is None:
                outside.append(tuple(source for source, _ in inputs))
                continue
            base = block.base if block.base is not None and block.base[0] == self.part[2] else None
            layers.append((block.block.layer, OutputLayer(inputs, None if base is None else base[1])))
        before, after, *others = outside
        if any(other != before for other in others):
            raise InputError("modules beside one with slices must merge the models of its first slice, in that order")
        everyone = tuple(range(len(names)))
        ends = None if before == after == everyone else Ends(before, after)
        return tuple(layer for _, layer in sorted(layers, key=lambda pair: pair[0])), ends

    def _rows(self, options: Mapping[str, Any], slots: int) -> tuple[ParameterGroups, dict[str, np.ndarray]]:
        """Groups of tensors that have the same values, and the values."""
        kinds: dict[str, int] = {}
        classes: dict[str, int] = {}
        values: list[Values] = []
        for tensor in (tensor for block in self.blocks for tensor in block.tensors):
            own = tensor.values if tensor.name in self.own else {}
            origins = tensor.origins if tensor.name in self.own else {}
            # Traced tensors share a group where their values come from the same numbers, however equal these are.
            traces = {name: [g and (id(g[0]), g[1]) for g in found] for name, found in origins.items()}
            key = json.dumps([own, traces], sort_keys=True)
            if key not in kinds:
                kinds[key] = len(values)
                values.append(own)
            classes[tensor.name] = kinds[key]
        rows = grouped(classes, self.frame.preferred)
        groups = [replace(group, frozen=not values[of]) for group, of in rows]
        coefficients: dict[str, np.ndarray] = {}
        for coefficient in self.method.coefficients(self.method.resolve(options)):
            name, spare = coefficient.name, 0.0 if coefficient.name == "weight" else coefficient.neutral
            frozen = 1.0 if coefficient.simplex else coefficient.neutral
            found = [values[of].get(name, (frozen,) * (slots if coefficient.per_model else 1)) for _, of in rows]
            padded = [(*row, *(spare,) * (slots - len(row))) if coefficient.per_model else row[0] for row in found]
            coefficients[name] = np.array(padded, dtype=np.float64)
        return patterned(groups, classes), coefficients
