"""One tensor that merging reads."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from evomerge.checkpoints import CheckpointSource
from evomerge.errors import InputError


@dataclass(frozen=True)
class Input:
    """A tensor of a source.

    Attributes:
        source: The opened source.
        name: The tensor's name there.
        dtype: The type that it is rounded to, unless that holds its own type exactly; None: nothing.
        stored: Whether the values are stored somewhere, rather than merged when they are read.
    """

    source: CheckpointSource
    name: str
    dtype: torch.dtype | None = None
    stored: bool = True

    def read(self) -> torch.Tensor:
        """The tensor in host memory: a view of the mapped file where nothing is rounded.

        Raises:
            InputError: If the source has no such tensor.
        """
        if self.name not in self.source.specs:
            raise InputError(f"{str(self.source.path)!r} has no tensor {self.name!r}")
        tensor = self.source.tensor(self.name)
        return tensor if self.exact else tensor.to(self.dtype)

    @property
    def exact(self) -> bool:
        """Whether nothing is rounded: a type that the wider one holds needs no copy, methods widen block by block."""
        own = self.source.specs[self.name].dtype
        return self.dtype is None or torch.promote_types(own, self.dtype) == self.dtype

    @property
    def in_place(self) -> bool:
        """Whether what is read is a view of the mapped file."""
        return self.exact and self.source.in_place(self.name)
