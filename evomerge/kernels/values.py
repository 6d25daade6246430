"""Numbers computed from tensors, element by element, that other passes select or add up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from evomerge.kernels.blocks import flat, spans


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
        base: The base's tensor, flat or of any shape.
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
    """The variance of several models' deltas at each place, computed in float64 and rounded to float32.

    Attributes:
        base: The base's tensor.
        models: The models', all of the same shape.
    """

    base: torch.Tensor
    models: Sequence[torch.Tensor]

    def block(self, span: slice) -> torch.Tensor:
        """One block in float32, as new memory."""
        deltas = [Delta(self.base, model).block(span).to(torch.float64) for model in self.models]
        share = 1.0 / len(deltas)
        mean, result = torch.zeros_like(deltas[0]), torch.zeros_like(deltas[0])
        for delta in deltas:
            mean.add_(delta)
        mean.mul_(share)
        for delta in deltas:
            away = delta.sub_(mean)
            result.add_(away.mul_(away))
        return result.mul_(share).to(torch.float32)


def blocks_of(values: Values) -> Iterator[torch.Tensor]:
    """All values, block by block."""
    for span in spans(values.base.numel(), device=values.base.device):
        yield values.block(span)
