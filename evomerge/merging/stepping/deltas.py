"""The merged delta of one tensor: what a method has merged minus the base, and base plus delta again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from evomerge.kernels import channel_factors, fill, flat, spans
from evomerge.merging.plan.outputs import OutputTensor
from evomerge.methods import Need, Statistics, TensorSources


@dataclass(frozen=True)
class Merged:
    """One tensor that a method merges.

    Attributes:
        tensor: The tensor.
        sources: The inputs that the method gets, the base among them.
        write: Lets the method write the merged tensor into memory.
        statistics: Gives the statistics that a step needs.
    """

    tensor: OutputTensor
    sources: TensorSources
    write: Callable[[torch.Tensor], object]
    statistics: Callable[[Sequence[Need]], Statistics]

    def delta(self, memory: torch.Tensor) -> torch.Tensor:
        """Merges, and takes the base off.

        Args:
            memory: Contiguous float32 memory of the tensor's shape; overwritten.

        Returns:
            The memory.
        """
        self.write(memory)
        own, base = memory.view(-1), self.sources.flat_base
        for span in spans(own.numel(), device=own.device):
            own[span].sub_(base[span].to(torch.float32))
        return memory

    def put_back(self, delta: torch.Tensor, out: torch.Tensor, factors: torch.Tensor | None = None) -> None:
        """Writes base plus delta, rounded once; where the delta is zero the base stays bit by bit.

        Args:
            delta: The delta, float32.
            out: Overwritten; may be the delta's own memory.
            factors: The delta is multiplied by them first, see :func:`evomerge.kernels.channel_factors`.
        """
        own, base = flat(delta), self.sources.flat_base
        factors = None if factors is None else factors.to(own.device)

        def added(span: slice) -> torch.Tensor:
            block = own[span]
            if factors is not None:
                block = block * channel_factors(factors, span, delta.shape)
            # Negated and taken off, with no negative zeros: so the base's own negative zeros stay where nothing is
            # added.
            return base[span].to(torch.float32) - block.neg().add_(0.0)

        fill(out, added)
