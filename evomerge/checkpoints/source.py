"""The protocol of a source of tensors, and what follows from its descriptions alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch


@dataclass(frozen=True)
class TensorSpec:
    """Type and shape of a tensor, known before its values are.

    Attributes:
        dtype: Element type.
        shape: Sizes, empty for a scalar.
    """

    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def numel(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size of the data in bytes."""
        return self.numel * self.dtype.itemsize


class CheckpointSource(Protocol):
    """A model's weights, opened for reading, whatever form they are stored in.

    Opening reads configuration, names, types and shapes, and of the values only those of a head that may repeat the
    input embeddings; tensors come when they are asked for. :func:`~evomerge.checkpoints.open.open_source` is the one
    way from a folder with a whole model to a source; sources that are made of others wrap opened ones.
    """

    @property
    def path(self) -> Path:
        """The model folder: config, tokenizer and templates lie here."""
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """The content of its ``config.json``."""
        ...

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        """Type and shape of every tensor by name, in the order of the files."""
        ...

    @property
    def aliases(self) -> Mapping[str, str]:
        """Output embeddings that only repeat the input embeddings: name to name."""
        ...

    def tensor(self, name: str) -> torch.Tensor:
        """The values of one tensor on the CPU, contiguous, to be read only.

        Raises:
            KeyError: If there is no such tensor.
        """
        ...

    def in_place(self, name: str) -> bool:
        """Whether :meth:`tensor` gives a view of a mapped file, which takes no memory, rather than a copy."""
        ...

    def file(self, name: str) -> Path:
        """The file that holds a tensor's values, for messages."""
        ...

    def fingerprint(self) -> str:
        """SHA-256 over all names, types, shapes and values, whatever files they are spread over."""
        ...

    def release(self) -> None:
        """Gives up mapped files and whatever else was kept for reading; the next read maps them again."""
        ...


def stored_dtype(source: CheckpointSource) -> torch.dtype:
    """The floating-point type that most weights of a source are stored in."""
    counts: Counter[torch.dtype] = Counter()
    for spec in source.specs.values():
        if spec.dtype.is_floating_point:
            counts[spec.dtype] += spec.numel
    return counts.most_common(1)[0][0]
