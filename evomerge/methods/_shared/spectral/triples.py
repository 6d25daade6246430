"""Singular triples as prepared arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from evomerge.methods._shared.inputs import Options, TensorSources
from evomerge.methods._shared.spectral.decomposition import Svd
from evomerge.methods._shared.spectral.matrices import stack_of
from evomerge.methods._shared.spectral.updates import item_bytes


@dataclass(frozen=True)
class Triples:
    """Stored singular triples of one delta's matrix, largest first.

    Attributes:
        values: Singular values, float64, on the CPU, ``(rank,)``.
        left: Left singular vectors as rows, ``(rank, rows)``, of the type that they are stored in.
        right: Right singular vectors as rows, ``(rank, columns)``.
    """

    values: torch.Tensor
    left: torch.Tensor
    right: torch.Tensor

    def top(self, fraction: float) -> Svd:
        """A fraction of them, the first, at least one where there are any; vectors in float32."""
        span = slice(0, max(1, int(fraction * len(self.values))))
        left, right = fresh(self.left[span]), fresh(self.right[span])
        return Svd(left.t(), self.values[span].to(left.device), right.t())


def fresh(rows: torch.Tensor) -> torch.Tensor:
    """Stored rows in float32 and in memory of their own: how that is aligned decides on the last bits of products."""
    return rows.to(torch.float32, copy=True).contiguous()


def store_triples(stack: Sequence[Sequence[Svd]], stored: str) -> dict[str, torch.Tensor]:
    """The triples of all models of every matrix, one after the other, vectors as rows: ranges of them are contiguous.

    Returns:
        ``ranks``, (matrices, models); ``values``; ``left`` and ``right``, of the type ``stored``: unit vectors need no
        scale.
    """
    every = [own for parts in stack for own in parts]
    dtype = getattr(torch, stored)
    return {
        "ranks": torch.tensor([[own.rank for own in parts] for parts in stack], dtype=torch.int32),
        "values": torch.cat([own.values for own in every]).cpu(),
        "left": torch.cat([own.left.t().to(dtype) for own in every]).cpu().contiguous(),
        "right": torch.cat([own.right.t().to(dtype) for own in every]).cpu().contiguous(),
    }


def triples_bytes(shape: Sequence[int], per_matrix: int, n_models: int, options: Options) -> int:
    """The most bytes of a tensor's triples.

    Args:
        shape: The tensor's.
        per_matrix: The most triples of one matrix, those of all models together.
        n_models: Number of models.
        options: ``stored``.
    """
    stack = stack_of(shape)
    if stack is None:
        return 0
    count, rows, columns = stack
    return count * (4 * n_models + per_matrix * (8 + item_bytes(options) * (rows + columns)))


def load_triples(sources: TensorSources) -> list[list[Triples]]:
    """The stored triples of all models, for each matrix, where the kernels read."""
    values, left, right = sources.prepared["values"], sources.operand("left"), sources.operand("right")
    start, found = 0, []
    for ranks in sources.prepared["ranks"].tolist():
        spans = []
        for rank in ranks:
            spans.append(slice(start, start + rank))
            start += rank
        found.append([Triples(values[span], left[span], right[span]) for span in spans])
    return found
