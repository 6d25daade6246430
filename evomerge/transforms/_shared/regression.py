"""RegMean's solution for one matrix (Jin et al. 2023, arXiv:2212.09849)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from evomerge.transforms._shared.subspaces import after, merge_matrices, scaled_off_diagonal, sum_of

_ITERATIONS = 1000


def regression(
    weights: Sequence[torch.Tensor], grams: Sequence[torch.Tensor], factor: float, start: torch.Tensor
) -> torch.Tensor:
    """The matrix whose outputs are next to each model's own on the model's inputs, float32.

    Args:
        weights: Each model's, (out, in).
        grams: Means over its tokens of the inner products of inputs, (in, in), or their diagonal, (in,).
        factor: On entries off the diagonal.
        start: The mean of the weights; directions that no input has stay as they are there.
    """
    scaled = [scaled_off_diagonal(gram, factor) for gram in grams]
    if scaled[0].ndim == 1:
        total = sum_of(scaled)
        right = sum_of(after(weight.double(), gram) for weight, gram in zip(weights, scaled, strict=True))
        return torch.where(total > 0, right / total.clamp(min=torch.finfo(total.dtype).tiny), start.double()).float()
    factored, failed = torch.linalg.cholesky_ex(sum_of(scaled))
    if int(failed):  # fewer tokens than inputs, and nothing on the diagonal to make up for it
        return merge_matrices(weights, scaled, None, start, iterations=_ITERATIONS).values.float()
    right = sum_of(weight.double() @ gram for weight, gram in zip(weights, scaled, strict=True))
    return torch.cholesky_solve(right.T, factored).T.float()
