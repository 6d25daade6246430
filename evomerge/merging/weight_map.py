"""Map from the elements of tensors on disk to the memory of a transformers model.

Since version 5 transformers renames tensors when it loads them, and joins, splits and permutes some: the experts of a
Mixtral become one stacked tensor, prefixes of vision-language models move. All of this copies elements and changes
none, so it can be found out once and then repeated by plain copies into the parameters that are already there.

It is found out by running transformers' own conversion on tensors that hold their elements' indices. What comes out
says for every element of a parameter which element of which disk tensor it is, and that is written down as strided
views: two for each piece, one of the disk tensor and one of the parameter, whose elements correspond in order.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections import defaultdict
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import (
    WeightConverter,
    WeightRenaming,
    WeightTransform,
    dot_natural_key,
    rename_source_key,
)

from evomerge.errors import InputError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class View:
    """Elements of a contiguous tensor, by strides counted in elements from its first one."""

    strides: Shape
    offset: int


@dataclass(frozen=True)
class Piece:
    """A part of a disk tensor and where it goes.

    Attributes:
        target: Name of a parameter or buffer of the model.
        sizes: Sizes of both views.
        source: The elements of the disk tensor.
        destination: The elements of the parameter, in the same order.
        shape: Shape of the whole disk tensor.
    """

    target: str
    sizes: Shape
    source: View
    destination: View
    shape: Shape

    @functools.cached_property
    def is_stretch(self) -> bool:
        """Whether the disk tensor's elements, from its first one on, lie one after the other in the parameter."""
        steps = itertools.accumulate(reversed(self.sizes[1:]), operator.mul, initial=1)
        strides = tuple(steps)[::-1]
        return self.source == View(strides, 0) and self.destination.strides == strides

    def of_source(self, tensor: torch.Tensor) -> torch.Tensor:
        """The elements of a disk tensor, which must be contiguous."""
        return tensor.as_strided(self.sizes, self.source.strides, tensor.storage_offset() + self.source.offset)

    def of_target(self, tensor: torch.Tensor) -> torch.Tensor:
        """The elements of a parameter, which must be contiguous."""
        return tensor.as_strided(
            self.sizes, self.destination.strides, tensor.storage_offset() + self.destination.offset
        )


@dataclass(frozen=True)
class _Unit:
    """Disk tensors that are converted together."""

    first_target: str
    transform: WeightTransform
    checkpoints: Mapping[str, Sequence[str]]  # pattern to names on disk, in the order that the conversion wants

    @property
    def names(self) -> list[str]:
        return [name for names in self.checkpoints.values() for name in names]


def weight_map(model: PreTrainedModel, shapes: Mapping[str, Shape]) -> dict[str, tuple[Piece, ...]]:
    """Finds where tensors on disk go in a model.

    Args:
        model: The model; its weights may be on the meta device, only their shapes are looked at.
        shapes: Name on disk to shape, of all tensors.

    Returns:
        Name on disk to its pieces. A tensor that the model has no place for has none.

    Raises:
        InputError: If a conversion does not fit the shapes, or does more than move elements.
    """
    targets = _shapes(model)
    pieces: dict[str, list[Piece]] = {name: [] for name in shapes}
    traced: dict[Any, list[tuple[int, int, Piece]]] = {}
    for unit in _units(model, shapes):
        made, names = _fitting(unit, model, shapes, targets), unit.names
        if not isinstance(unit.transform, WeightConverter):
            pieces[names[0]].append(_whole(unit.first_target, shapes[names[0]]))
            continue
        key = (_meaning(unit), tuple(shapes[name] for name in names), tuple(made.values()))
        if key not in traced:
            traced[key] = _traced(unit, model, shapes)
        for source, target, piece in traced[key]:
            pieces[names[source]].append(replace(piece, target=list(made)[target]))
    return {name: tuple(found) for name, found in pieces.items()}


def filled(model: PreTrainedModel, shapes: Mapping[str, Shape]) -> frozenset[str]:
    """Names of the parameters and buffers that tensors on disk fill, told from shapes alone.

    Args:
        model: The model, its weights on the meta device or not.
        shapes: Name on disk to shape, of all tensors.

    Raises:
        InputError: If tensors do not fit the model; all of them.
    """
    targets = _shapes(model)
    names: set[str] = set()
    problems: list[str] = []
    for unit in _units(model, shapes):
        try:
            names |= _fitting(unit, model, shapes, targets).keys()
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return frozenset(names)


def _shapes(model: PreTrainedModel) -> dict[str, Shape]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _fitting(
    unit: _Unit, model: PreTrainedModel, shapes: Mapping[str, Shape], targets: Mapping[str, Shape]
) -> dict[str, Shape]:
    """Names and shapes of what disk tensors become, which must be those of the model."""
    names = unit.names
    if not isinstance(unit.transform, WeightConverter):
        if shapes[names[0]] != targets[unit.first_target]:
            raise InputError(
                f"tensor {names[0]!r} has shape {list(shapes[names[0]])}, but the model built from config.json wants "
                f"{list(targets[unit.first_target])}"
            )
        return {unit.first_target: targets[unit.first_target]}
    # On the meta device the conversion costs nothing and tells the names and shapes of what it makes.
    made = _converted(unit, model, {name: torch.empty(shapes[name], device="meta") for name in names})
    _check_made(unit, made, targets)
    return {name: tuple(tensor.shape) for name, tensor in made.items()}


def _units(model: PreTrainedModel, shapes: Mapping[str, Shape]) -> list[_Unit]:
    """Groups disk tensors as transformers does when it loads them."""
    mapping = get_model_conversion_mapping(model)
    renamings = [entry for entry in mapping if isinstance(entry, WeightRenaming)]
    converters = [entry for entry in mapping if isinstance(entry, WeightConverter)]
    by_pattern = {pattern: converter for converter in converters for pattern in converter.source_patterns}
    state = model.state_dict()
    prefix = model.base_model_prefix
    transforms: dict[str, WeightTransform] = {}
    checkpoints: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name in sorted(shapes, key=dot_natural_key):
        target, pattern = rename_source_key(name, renamings, converters, prefix, state)
        if target not in state and name in state:
            target, pattern = rename_source_key(name, [], [], prefix, state)
        if target not in state:
            continue  # transformers reports it as unexpected and leaves it out
        if pattern is None:
            transforms.setdefault(target, WeightRenaming(name, target))
        else:
            transforms.setdefault(target, by_pattern[pattern])
        checkpoints[target][name if pattern is None else pattern].append(name)
    return [_Unit(target, transform, checkpoints[target]) for target, transform in transforms.items()]


def _converted(unit: _Unit, model: PreTrainedModel, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    converter: Any = deepcopy(unit.transform)
    for pattern, names in unit.checkpoints.items():
        for name in names:
            converter.add_tensor(unit.first_target, name, pattern, tensors[name])
    try:
        made = converter.convert(unit.first_target, model=model, config=model.config)
    except Exception as error:
        raise InputError(
            f"transformers cannot convert {', '.join(unit.names[:3])} into {unit.first_target!r}: {error}"
        ) from error
    return {name: value[0] if isinstance(value, list) else value for name, value in made.items()}


def _check_made(unit: _Unit, made: Mapping[str, torch.Tensor], targets: Mapping[str, Shape]) -> None:
    for name, tensor in made.items():
        if name not in targets or tuple(tensor.shape) != targets[name]:
            raise InputError(
                f"{', '.join(unit.names[:3])} make {name!r} of shape {list(tensor.shape)}, but the model built from "
                f"config.json wants {list(targets[name]) if name in targets else 'no such tensor'}"
            )


def _meaning(unit: _Unit) -> str:
    """A description of a conversion, equal for the same conversion of another layer."""
    assert isinstance(unit.transform, WeightConverter)
    operations = [(type(op).__name__, sorted(vars(op).items(), key=str)) for op in unit.transform.operations]
    counts = [(pattern, len(names)) for pattern, names in unit.checkpoints.items()]
    return repr((operations, unit.transform.source_patterns, unit.transform.target_patterns, counts))


def _whole(target: str, shape: Shape) -> Piece:
    size = int(np.prod(shape, dtype=np.int64))
    view = View((1,), 0)
    return Piece(target, (size,), view, view, shape)


def _traced(unit: _Unit, model: PreTrainedModel, shapes: Mapping[str, Shape]) -> list[tuple[int, int, Piece]]:
    """Runs a conversion on element indices: (position of the source, position of the target, piece) of every piece."""
    names = unit.names
    sizes = [int(np.prod(shapes[name], dtype=np.int64)) for name in names]
    starts = [0, *itertools.accumulate(sizes)]
    # Stacked experts of a layer have hundreds of millions of elements: indices are no wider than they need to be.
    dtype, numpy_dtype = (torch.int32, np.int32) if starts[-1] < 2**31 else (torch.int64, np.int64)
    tensors = {
        name: torch.arange(start, start + size, dtype=dtype).reshape(shapes[name])
        for name, start, size in zip(names, starts, sizes, strict=False)
    }
    converted = _converted(unit, model, tensors)
    tensors.clear()
    found = []
    for position, (target, made) in enumerate(converted.items()):
        indices = made.reshape(-1).numpy()
        if made.dtype != dtype or (indices.size and (indices.min() < 0 or indices.max() >= starts[-1])):
            raise InputError(f"transformers computes {target!r} from {names[0]!r}; only moving elements is supported")
        where: np.ndarray = np.full(starts[-1], -1, dtype=numpy_dtype)
        where[indices] = np.arange(indices.size, dtype=numpy_dtype)
        covered = 0
        for source in range(len(names)):
            destination = where[starts[source] : starts[source + 1]]
            taken = np.flatnonzero(destination >= 0)
            covered += taken.size
            if taken.size:
                piece = _piece(target, names[source], taken, destination[taken])
                found.append((source, position, replace(piece, shape=shapes[names[source]])))
        if covered != indices.size:
            raise InputError(f"transformers repeats elements of {names[0]!r} in {target!r}, which is not supported")
    return found


def _piece(target: str, name: str, source: np.ndarray, destination: np.ndarray) -> Piece:
    """Writes two equally long sequences of element indices as strided views.

    The longest run of equal steps from the start is the innermost dimension. All that follows must be such runs, and
    their first elements are written the same way.
    """
    first = int(source[0]), int(destination[0])
    sizes: list[int] = []
    strides: list[tuple[int, int]] = []
    both = np.stack([source, destination]).astype(np.int64)
    while both.shape[1] > 1:
        step = both[:, 1:2] - both[:, :1]
        length = _run(both, step)
        rows = both.reshape(2, -1, length) if both.shape[1] % length == 0 else None
        if rows is None or (np.diff(rows) != step[:, :, None]).any():
            raise InputError(f"transformers moves the elements of {name!r} into {target!r} in an irregular order")
        sizes.append(length)
        strides.append((int(step[0, 0]), int(step[1, 0])))
        both = np.ascontiguousarray(rows[:, :, 0])
    sizes, strides = sizes[::-1] or [1], strides[::-1] or [(1, 1)]
    here, there = (View(tuple(pair[side] for pair in strides), first[side]) for side in (0, 1))
    return Piece(target, tuple(sizes), here, there, ())


def _run(both: np.ndarray, step: np.ndarray) -> int:
    """Number of elements, from the first one on, that follow each other by ``step``; most runs are short."""
    looked_at = 1024
    while True:
        breaks = np.flatnonzero((np.diff(both[:, :looked_at]) != step).any(axis=0))
        if breaks.size:
            return int(breaks[0]) + 1
        if looked_at >= both.shape[1]:
            return both.shape[1]
        looked_at *= 8
