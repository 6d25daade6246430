"""The merged delta of one tensor: what a method has merged minus the base, and base plus delta again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from evomerge.kernels import fill, flat, spans
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

    def put_back(self, delta: torch.Tensor, out: torch.Tensor) -> None:
        """Writes base plus delta, rounded once; where the delta is zero the base stays bit by bit.

        Args:
            delta: The delta, float32.
            out: Overwritten; may be the delta's own memory.
        """
        own, base = flat(delta), self.sources.flat_base
        # Negated and taken off, with no negative zeros: so the base's own negative zeros stay where nothing is added.
        fill(out, lambda span: base[span].to(torch.float32) - own[span].neg().add_(0.0))
