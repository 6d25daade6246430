"""A source in the form of another one where they differ in more than a prefix, as transformers understands both.

The experts of a layer lie on disk one by one or stacked, the parts of a vision-language model under older or newer
names, depending on which version of transformers saved them and how. Both lead to the same parameters by moving
elements alone, so each tensor of the one form can be put together from the other's.
"""

from __future__ import annotations

import math
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from evomerge.checkpoints import CheckpointSource, TensorSpec, in_form_of, is_computed
from evomerge.errors import InputError
from evomerge.merging.blueprint import Blueprint
from evomerge.merging.weight_map import Piece, weight_map

# Parameters that are kept once they are put together: those that the experts of a layer are parts of.
_KEPT = 4

_Parameters = Mapping[str, tuple[tuple[int, ...], list[tuple[str, Piece]]]]


class ConvertedSource:
    """Another source's tensors in the form of a reference; see :class:`~evomerge.checkpoints.CheckpointSource`.

    Tensors that both have under one name are the source's own. The others are put together when they are asked for,
    which takes memory for the parameters that they are parts of.

    Args:
        source: The source.
        made: For each name that the source lacks, its type and shape, and where its elements are in the parameters.
        parameters: Name and shape of each such parameter, and the pieces of the source's tensors that fill it.
    """

    def __init__(
        self,
        source: CheckpointSource,
        made: Mapping[str, tuple[TensorSpec, tuple[Piece, ...]]],
        parameters: _Parameters,
    ) -> None:
        self.source = source
        self._made, self._parameters = made, parameters
        self._kept: OrderedDict[str, torch.Tensor] = OrderedDict()
        used = {name for _, pieces in parameters.values() for name, _ in pieces}
        self.path: Path = source.path
        self.config: Mapping[str, Any] = source.config
        self.specs: Mapping[str, TensorSpec] = {
            **{name: spec for name, spec in source.specs.items() if name not in used},
            **{name: spec for name, (spec, _) in made.items()},
        }
        self.aliases = {head: name for head, name in source.aliases.items() if {head, name} <= self.specs.keys()}

    @property
    def made(self) -> tuple[str, ...]:
        """Names of the tensors that are put together."""
        return tuple(self._made)

    def tensor(self, name: str) -> torch.Tensor:
        """The values of one tensor: the source's own, or put together in new memory."""
        if name not in self._made:
            return self.source.tensor(name)
        spec, pieces = self._made[name]
        found = torch.empty(spec.shape, dtype=spec.dtype)
        for piece in pieces:
            piece.of_source(found).copy_(piece.of_target(self._parameter(piece.target)))
        return found

    def _parameter(self, target: str) -> torch.Tensor:
        if target in self._kept:
            self._kept.move_to_end(target)
            return self._kept[target]
        shape, pieces = self._parameters[target]
        found = torch.empty(shape, dtype=self.source.specs[pieces[0][0]].dtype)
        for name, piece in pieces:
            piece.of_target(found).copy_(piece.of_source(self.source.tensor(name)))
        self._kept[target] = found
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return found

    def in_place(self, name: str) -> bool:
        """Whether :meth:`tensor` gives a view of a mapped file: of the source's own tensors."""
        return name not in self._made and self.source.in_place(name)

    def file(self, name: str) -> Path:
        """The file that holds a tensor's values, or the first of them."""
        if name not in self._made:
            return self.source.file(name)
        return self.source.file(self._parameters[self._made[name][1][0].target][1][0][0])

    def fingerprint(self) -> str:
        """The source's own fingerprint: its form does not change what it is."""
        return self.source.fingerprint()

    def release(self) -> None:
        """Gives up what was put together, and what the source keeps for reading."""
        self._kept.clear()
        self.source.release()


def converted(reference: CheckpointSource, other: CheckpointSource) -> CheckpointSource:
    """Gives a source in the form of a reference: under its names, with its output embeddings, stacked as it is.

    Args:
        reference: The source whose form is wanted.
        other: The source to give it to.

    Returns:
        ``other`` itself where nothing is to be changed, or where it cannot be.
    """
    other = in_form_of(reference, other)
    missing = _missing(reference, other)
    extra = _missing(other, reference)
    if not missing or not extra or reference.config.get("model_type") != other.config.get("model_type"):
        return other
    try:
        model = _model(reference)
        ours = weight_map(model, _shapes(reference, reference.specs))
        theirs = weight_map(model, _shapes(other, other.specs))
    except InputError:  # a comparison says which tensors differ
        return other
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    filled: dict[str, list[tuple[str, Piece]]] = defaultdict(list)
    for name in extra:
        for piece in theirs[name]:
            filled[piece.target].append((name, piece))
    parameters = {
        target: (shapes[target], pieces)
        for target, pieces in filled.items()
        if sum(math.prod(piece.sizes) for _, piece in pieces) == math.prod(shapes[target])
        and len({other.specs[name].dtype for name, _ in pieces}) == 1
    }
    made = {
        name: (_spec(reference, other, name, ours[name], parameters), ours[name])
        for name in missing
        if ours[name] and all(piece.target in parameters for piece in ours[name])
    }
    if not made:
        return other
    wanted = {piece.target for _, pieces in made.values() for piece in pieces}
    return ConvertedSource(other, made, {name: parameters[name] for name in parameters.keys() & wanted})


def _model(reference: CheckpointSource) -> PreTrainedModel:
    try:
        return Blueprint.of(reference).model
    except InputError:
        return Blueprint.of(reference, causal=False).model


def _missing(source: CheckpointSource, other: CheckpointSource) -> list[str]:
    """Weights of one source that another has not, under their names."""
    return [
        name
        for name, spec in source.specs.items()
        if name not in other.specs and name not in source.aliases and not is_computed(name, spec)
    ]


def _shapes(source: CheckpointSource, names: Iterable[str]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(source.specs[name].shape) for name in names}


def _spec(
    reference: CheckpointSource,
    other: CheckpointSource,
    name: str,
    pieces: tuple[Piece, ...],
    parameters: _Parameters,
) -> TensorSpec:
    """The type that the other source has, in the shape that the reference has."""
    first, _ = parameters[pieces[0].target][1][0]
    return TensorSpec(other.specs[first].dtype, tuple(reference.specs[name].shape))
