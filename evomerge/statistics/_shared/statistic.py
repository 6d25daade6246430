"""Declaration of a statistic: where it looks, the array it adds up for one tensor, and how sums become the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from evomerge.options import Option, RecipeOptions

Shape = tuple[int, ...]
Options = Mapping[str, Any]
LAYERS = "layers"
"""The name under which an array of all layers together is kept."""
Place = Literal["input", "output", "states", "output_gradient", "weight_gradient"]


@dataclass(frozen=True)
class Site:
    """A tensor on disk and the module of the live model that uses it.

    Attributes:
        name: The tensor's name on disk.
        shape: Its shape on disk.
        kind: ``linear`` multiplies a matrix, ``norm`` scales channels, ``embedding`` looks rows up; ``other`` is
            everything whose use is not known. ``layers`` is no tensor but the stack of all layers, under the name
            :data:`LAYERS`, with the shape (layers, channels).
        inputs: Channels of the module's input; None where that has none (embeddings).
        outputs: Channels of the module's output.
        axis: The axis of the tensor that runs over input channels: the last, or the first where a matrix is stored
            as (inputs, outputs), as in GPT-2.
        head: Whether it makes logits.
        router: Whether it says which experts tokens go to.
    """

    name: str
    shape: Shape
    kind: Literal["linear", "norm", "embedding", "layers", "other"] = "other"
    inputs: int | None = None
    outputs: int | None = None
    axis: int = -1
    head: bool = False
    router: bool = False

    @property
    def transposed(self) -> bool:
        """Whether the tensor is a matrix stored as (inputs, outputs)."""
        return self.axis == 0 and len(self.shape) == 2


@dataclass(frozen=True)
class Counts:
    """Sizes of the texts that sums were taken over.

    Attributes:
        tokens: Tokens that went through the module.
        batches: Batches whose gradients were taken; of forward passes, sequences.
    """

    tokens: int
    batches: int


BATCH = Option(1, None, int, "Sequences whose losses are averaged before a gradient is taken.", low=1)


def _nothing(site: Site, options: Options) -> str | None:
    return None


@dataclass(frozen=True)
class Statistic(RecipeOptions, sort="statistic"):
    """Declares one statistic.

    Attributes:
        name: Name of the statistic and of its file.
        version: Part of its key; counted up when the same texts give other values.
        summary: One sentence for people.
        at: What it adds up: the ``input`` or ``output`` of a module or the gradient at its output, all ``(tokens,
            channels)``; the ``states`` between layers, ``(layers + 1, tokens, channels)`` in float32, of one sequence:
            what enters each layer and what leaves the last; or the gradient of a tensor in the tensor's own shape, of
            one batch. Gradients take a backward pass.
        shape: ``shape(site, options)`` is the shape of a tensor's array; None where the tensor has none.
        add: ``add(total, seen, options)`` adds to an accumulator of that shape, in place.
        finish: ``finish(total, counts, weight, options)`` makes the result of the sums; ``weight()`` is the tensor
            itself, in the shape that it has on disk.
        options: The options it takes; they are part of its key.
        dtype: Type of the accumulator. Results are float32.
        note: ``note(site, options)`` is a sentence about a tensor whose array is another than one would expect.
    """

    name: str
    version: int
    summary: str
    at: Place
    shape: Callable[[Site, Options], Shape | None]
    add: Callable[[torch.Tensor, torch.Tensor, Options], None]
    finish: Callable[[torch.Tensor, Counts, Callable[[], torch.Tensor], Options], torch.Tensor]
    options: Mapping[str, Option] = field(default_factory=dict)
    dtype: torch.dtype = torch.float32
    note: Callable[[Site, Options], str | None] = _nothing

    @property
    def backward(self) -> bool:
        """Whether it takes a backward pass."""
        return self.at in ("output_gradient", "weight_gradient")
