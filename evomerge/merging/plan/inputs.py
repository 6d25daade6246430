"""One tensor that merging reads."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, replace

import torch

from evomerge.checkpoints import CheckpointSource
from evomerge.errors import InputError
from evomerge.merging.vocabulary.token_rows import TokenRows


@dataclass(frozen=True)
class Input:
    """A tensor of a source.

    Attributes:
        source: The opened source.
        name: The tensor's name there.
        dtype: The type that it is rounded to, unless that holds its own type exactly; None: nothing.
        stored: Whether the values are stored somewhere, rather than merged when they are read.
        rows: The rows that are read, ``(first, one after the last)``, or where each of them comes from; None is the
            whole tensor.
    """

    source: CheckpointSource
    name: str
    dtype: torch.dtype | None = None
    stored: bool = True
    rows: tuple[int, int] | TokenRows | None = None

    def read(self) -> torch.Tensor:
        """The tensor in host memory: a view of the mapped file where nothing is rounded or gathered.

        Raises:
            InputError: If the source has no such tensor.
        """
        if self.name not in self.source.specs:
            raise InputError(f"{str(self.source.path)!r} has no tensor {self.name!r}")
        if isinstance(self.rows, TokenRows):
            return self.rows.read(self.dtype)
        tensor = self.source.tensor(self.name)
        if self.rows is not None:
            tensor = tensor[slice(*self.rows)]
        return tensor if self.exact else tensor.to(self.dtype)

    def of_rows(self, first: int, last: int) -> Input:
        """The same tensor, of which these rows are read, the last not among them."""
        whole = (first, last) == (0, self.source.specs[self.name].shape[0])
        return replace(self, rows=None if whole else (first, last))

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of what is read, of a source that has the tensor."""
        own = tuple(self.source.specs[self.name].shape)
        if isinstance(self.rows, TokenRows):
            return (self.rows.count, *own[1:])
        return own if self.rows is None else (self.rows[1] - self.rows[0], *own[1:])

    @property
    def read_from(self) -> tuple[tuple[CheckpointSource, str], ...]:
        """The tensors whose values are read: this one, or those that rows are gathered from."""
        return self.rows.read_from if isinstance(self.rows, TokenRows) else ((self.source, self.name),)

    @property
    def copied_bytes(self) -> int:
        """Memory that reading takes: none where the mapped file's own values are given."""
        if isinstance(self.rows, TokenRows):
            return math.prod(self.shape) * self.rows.dtype(self.dtype).itemsize
        return 0 if self.exact or self.dtype is None else math.prod(self.shape) * self.dtype.itemsize

    @property
    def key(self) -> Hashable:
        """Everything that what is read depends on."""
        return self.source, self.name, self.dtype, self.rows

    @property
    def exact(self) -> bool:
        """Whether nothing is rounded: a type that the wider one holds needs no copy, methods widen block by block."""
        own = self.source.specs[self.name].dtype
        return self.dtype is None or torch.promote_types(own, self.dtype) == self.dtype

    @property
    def in_place(self) -> bool:
        """Whether what is read is a view of the mapped file."""
        return self.exact and not isinstance(self.rows, TokenRows) and self.source.in_place(self.name)
