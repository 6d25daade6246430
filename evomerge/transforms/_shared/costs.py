"""Sizes from headers, of which predictions of transformations are made."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

from evomerge.checkpoints import is_vocabulary
from evomerge.transforms._shared.averages import merged_names, places
from evomerge.transforms._shared.declaration import Work

Shape = tuple[int, int]
FLOAT = 4
"""Bytes of a float32."""
DOUBLE = 8
"""Bytes of a float64."""
_BESIDE, _OBJECTS = 0.06, 60_000_000  # as collecting takes beside tensors, measured


def elements(work: Work) -> int:
    """Number of elements of all merged tensors."""
    return sum(work.reference.specs[name].numel for name in merged_names(work.reference))


def stored(work: Work) -> int:
    """Bytes of all merged tensors as they are stored."""
    return sum(work.reference.specs[name].nbytes for name in merged_names(work.reference))


def matrices_by_layer(work: Work) -> Mapping[int, list[Shape]]:
    """The shapes of the matrices of each layer, (outputs, inputs) in most models."""
    found: dict[int, list[Shape]] = defaultdict(list)
    for name, place in places(work.reference).items():
        shape = tuple(work.reference.specs[name].shape)
        if place.layer is not None and len(shape) == 2:
            found[place.layer].append((shape[0], shape[1]))
    return found


def matrices(work: Work) -> list[Shape]:
    """The shapes of the matrices of all layers."""
    return [shape for layer in matrices_by_layer(work).values() for shape in layer]


def held(*parts: float) -> int:
    """Bytes of memory for tensors of so many bytes, with what kernels, the allocator and Python's own objects take."""
    return int(sum(parts) * (1 + _BESIDE)) + _OBJECTS


def logits(work: Work) -> int:
    """Bytes of the logits of the longest text."""
    rows = max((spec.shape[0] for name, spec in work.reference.specs.items() if is_vocabulary(name)), default=0)
    return FLOAT * longest(work) * rows


def averaging(work: Work) -> int:
    """Bytes while the largest tensor is averaged, in float32: the sum so far, the next one, and both together."""
    return 3 * FLOAT * max((work.reference.specs[name].numel for name in merged_names(work.reference)), default=0)


def longest(work: Work) -> int:
    """Number of tokens of the longest text."""
    return max((len(ids) for texts in work.texts for ids in texts), default=0)


def tokens(work: Work) -> int:
    """Number of tokens of all experts' texts."""
    return sum(len(ids) for texts in work.texts for ids in texts)


def forward(work: Work) -> float:
    """Operations of the layers' matrices, and of what makes logits, for all texts once."""
    shapes = [tuple(spec.shape) for spec in work.reference.specs.values() if len(spec.shape) == 2]
    vocabulary = max(map(math.prod, shapes), default=0)  # embeddings and head have one shape
    return 2.0 * tokens(work) * (sum(map(math.prod, matrices(work))) + vocabulary)
