"""Numbers computed from tensors, element by element, that other passes select or add up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from evomerge.kernels.blocks import flat, spans
from evomerge.kernels.elementary import exp, tanh


class Values(Protocol):
    """What is computed from a base and models."""

    @property
    def base(self) -> torch.Tensor:
        """The base's tensor."""

    @property
    def models(self) -> Sequence[torch.Tensor]:
        """The models that take part."""

    def block(self, span: slice) -> torch.Tensor:
        """One block in float32, as new memory."""


@dataclass(frozen=True)
class Delta:
    """A model minus the base (the literature's task vector).

    Attributes:
        base: The base's tensor, contiguous, flat or of any shape.
        model: The model's, of the same shape.
    """

    base: torch.Tensor
    model: torch.Tensor

    @property
    def models(self) -> tuple[torch.Tensor, ...]:
        """The models that take part."""
        return (self.model,)

    def block(self, span: slice) -> torch.Tensor:
        """One block in float32, as new memory."""
        return flat(self.model)[span].to(torch.float32) - flat(self.base)[span].to(torch.float32)


@dataclass(frozen=True)
class Spread:
    """The variance of several models' deltas at each place.

    It is the sum of the squared differences of all pairs over the square of their number, in float32: good to a few
    units in the last place however much larger the deltas are than their differences, and zero where they are equal.

    Attributes:
        base: The base's tensor.
        models: The models', all of the same shape.
    """

    base: torch.Tensor
    models: Sequence[torch.Tensor]

    def block(self, span: slice) -> torch.Tensor:
        """One block in float32, as new memory."""
        deltas = [Delta(self.base, model).block(span) for model in self.models]
        result = torch.zeros_like(deltas[0])
        for number, delta in enumerate(deltas):
            for other in deltas[:number]:
                away = delta - other
                result.add_(away.mul_(away))
        return result.mul_(1 / len(deltas) ** 2)


Range = tuple[float, float]


@dataclass(frozen=True)
class Score:
    """How well one delta's elements compete (Du et al. 2024), negative scores as zero.

    A score is ``exp(n * size**2) * tanh(delta * sum of all deltas)``, where the size is the clamped magnitude scaled
    to [0, 1].

    Attributes:
        base: The base's tensor, flat.
        models: All ``n`` models', flat.
        model: Whose delta it is.
        limits: What its magnitudes are clamped to.
    """

    base: torch.Tensor
    models: Sequence[torch.Tensor]
    model: int
    limits: Range

    def block(self, span: slice) -> torch.Tensor:
        """One block in float32, as new memory."""
        deltas = [Delta(self.base, model).block(span) for model in self.models]
        return self.of(deltas, self.clamped(deltas[self.model]))

    def clamped(self, delta: torch.Tensor) -> torch.Tensor:
        """A delta with its magnitudes clamped. What is not finite becomes NaN, so that it is seen."""
        size = delta.abs().clamp_(*self.limits)
        return torch.copysign(size, delta).masked_fill_(delta == 0, 0.0).add_(delta * 0.0)

    @property
    def stretch(self) -> float:
        """What scales the clamped magnitudes to [0, 1]; 0 where they are all the same."""
        low, high = self.limits
        return 1 / (high - low) if high > low else 0.0

    def of(self, deltas: Sequence[torch.Tensor], own: torch.Tensor) -> torch.Tensor:
        """The same from all deltas and this one clamped."""
        size = (own.abs() - self.limits[0]) * self.stretch
        together = deltas[0].clone()
        for delta in deltas[1:]:
            together.add_(delta)
        return (exp(size * size * len(deltas)) * tanh(deltas[self.model] * together)).clamp_(min=0.0)


def blocks_of(values: Values) -> Iterator[torch.Tensor]:
    """All values, block by block."""
    for span in spans(values.base.numel(), device=values.base.device):
        yield values.block(span)
