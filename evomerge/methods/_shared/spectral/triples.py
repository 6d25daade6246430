"""Singular triples as prepared arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from evomerge.methods._shared.inputs import Options, TensorSources
from evomerge.methods._shared.spectral.decomposition import Svd
from evomerge.methods._shared.spectral.matrices import stack_of
from evomerge.methods._shared.spectral.updates import item_bytes


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


def load_triples(sources: TensorSources) -> Iterator[list[Svd]]:
    """The stored triples of all models, matrix after matrix, where the tensors are; vectors in float32."""
    values, device = sources.prepared["values"], sources.models[0].device
    left, right, start = sources.operand("left"), sources.operand("right"), 0
    for ranks in sources.prepared["ranks"].tolist():
        parts = []
        for rank in ranks:
            span = slice(start, start + rank)
            start += rank
            parts.append(Svd(_columns(left[span]), values[span].to(device), _columns(right[span])))
        yield parts


def _columns(rows: torch.Tensor) -> torch.Tensor:
    """Stored rows as columns, in memory of their own: how that is aligned decides on the last bits of products."""
    return rows.to(torch.float32, copy=True).t()
