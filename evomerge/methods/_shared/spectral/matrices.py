"""Which tensors are matrices, and the matrices of their deltas."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from evomerge.kernels import is_finite
from evomerge.methods._shared.inputs import Options, TensorContext


def stack_of(shape: Sequence[int], kind: str = "mlp") -> tuple[int, int, int] | None:
    """The number of matrices in a tensor, and their rows and columns; None where it is none.

    Matrices are the tensors of two dimensions, embeddings among them, and each of the matrices that lie along the
    first of three dimensions in an MLP, which are a layer's stacked experts. Kernels of convolutions are none.

    Args:
        shape: The tensor's shape.
        kind: Its module kind, see :data:`evomerge.recipe.MODULE_KINDS`.
    """
    if math.prod(shape) and (len(shape) == 2 or (len(shape) == 3 and kind == "mlp")):
        return math.prod(shape[:-2]), shape[-2], shape[-1]
    return None


def decomposing_bytes(shape: Sequence[int], n_inputs: int, options: Options) -> int:
    """The most memory that decomposing the deltas of one tensor takes: these, their vectors, and LAPACK's own.

    Args:
        shape: The tensor's shape.
        n_inputs: Number of models, and one for the base.
        options: Are not looked at.
    """
    stack = stack_of(shape)
    return 0 if stack is None else 16 * math.prod(shape) * n_inputs + 48 * min(stack[1:]) ** 2


def deltas_of(
    context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor]
) -> list[list[torch.Tensor]] | None:
    """The deltas of every matrix of a tensor: for each matrix one per model, float32, contiguous, in new memory.

    Returns:
        None where the tensor is no matrix, where a delta is not finite, or where all are zero: then there is nothing to
        decompose.
    """
    stack = stack_of(base.shape, context.kind)
    if stack is None:
        return None
    start = base.detach().to(torch.float32)
    deltas = [model.detach().to(torch.float32, copy=True).sub_(start).contiguous().view(stack) for model in models]
    if not all(map(is_finite, deltas)) or not any(bool(delta.any()) for delta in deltas):
        return None
    return [[delta[index] for delta in deltas] for index in range(stack[0])]


def total_of(deltas: Sequence[torch.Tensor]) -> torch.Tensor:
    """The sum of one matrix's deltas, one after the other."""
    first, *others = deltas
    total = first.clone()
    for delta in others:
        total.add_(delta)
    return total
