"""MoFO: Adam that moves only those entries whose momentum is largest (Chen et al. 2024, arXiv:2407.20999)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import torch

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8
_ROUNDING = 1e-6  # added to the norm of gradients before dividing by it


@dataclass
class Mofo:
    """The optimiser's settings and state.

    Attributes:
        rate: Learning rate.
        share: Share of each tensor's entries that move in a step.
        decay: Weight decay, apart from the gradient.
        largest: Largest norm of all gradients together; larger ones are scaled down to it.
        steps: Steps taken.
    """

    rate: float = 1e-3
    share: float = 0.3
    decay: float = 0.01
    largest: float = 1.0
    steps: int = 0
    _first: list[torch.Tensor] = field(default_factory=list, repr=False)
    _second: list[torch.Tensor] = field(default_factory=list, repr=False)

    @classmethod
    def of(cls, values: Sequence[torch.Tensor], rate: float, share: float, decay: float, largest: float) -> Self:
        """An optimiser of some values, which has taken no step; see the attributes."""
        zeros = [[torch.zeros_like(one) for one in values] for _ in range(2)]
        return cls(rate, share, decay, largest, 0, *zeros)

    @property
    def moments(self) -> list[torch.Tensor]:
        """All that steps depend on beside their number: first and second moments, to be read and overwritten."""
        return [*self._first, *self._second]

    @torch.no_grad()
    def step(self, values: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor]) -> None:
        """Changes values in place by one step."""
        self.steps += 1
        size = torch.stack([one.norm() for one in gradients]).norm()
        factor = float((self.largest / (size + _ROUNDING)).clamp(max=1.0))
        corrections = [1 - beta**self.steps for beta in _BETAS]
        for value, gradient, first, second in zip(values, gradients, self._first, self._second, strict=True):
            scaled = gradient * factor
            value.mul_(1 - self.rate * self.decay)
            first.mul_(_BETAS[0]).add_(scaled, alpha=1 - _BETAS[0])
            second.mul_(_BETAS[1]).addcmul_(scaled, scaled, value=1 - _BETAS[1])
            moved = self._largest(first) * first / ((second.sqrt() / math.sqrt(corrections[1])) + _EPSILON)
            value.sub_(moved, alpha=self.rate / corrections[0])

    def _largest(self, momentum: torch.Tensor) -> torch.Tensor:
        """A mask of the entries that move; of equal ones at the edge all do."""
        size = momentum.abs()
        count = max(int(size.numel() * self.share), 1)
        return size >= size.flatten().topk(count).values[-1]
