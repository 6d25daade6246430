"""Merging of matrices in task subspaces: MaTS (Tam et al. 2024, arXiv:2312.04339).

The merged matrix is the one that all models' quadratic losses add up to the least for. The curvature of a model's loss
is a Kronecker product: inner products of the inputs on one side, and of the gradients at the outputs on the other. With
the input side alone this is RegMean.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

import torch

from evomerge.transforms._shared.conjugate_gradients import TOLERANCE, Solved, solve


def scaled_off_diagonal(gram: torch.Tensor, factor: float) -> torch.Tensor:
    """A matrix of inner products in float64, whose entries off the diagonal are scaled; a diagonal alone as it is."""
    scaled = gram.to(torch.float64, copy=True)
    if gram.ndim == 2:  # in place, as wide ones are large
        diagonal = scaled.diagonal().clone()
        scaled.mul_(factor).diagonal().add_((1.0 - factor) * diagonal)
    return scaled


def merge_matrices(
    weights: Sequence[torch.Tensor],
    inputs: Sequence[torch.Tensor],
    gradients: Sequence[torch.Tensor] | None,
    start: torch.Tensor,
    *,
    iterations: int,
    tolerance: float = TOLERANCE,
) -> Solved:
    """The matrix W with ``sum B_i W A_i = sum B_i W_i A_i``, by conjugate gradients.

    Args:
        weights: Each model's, (out, in).
        inputs: ``A_i``, inner products of its inputs, (in, in), or their diagonal, (in,); as they are to be used, see
            `scaled_off_diagonal`. All models' have one form.
        gradients: ``B_i``, inner products of the gradients at its outputs, (out, out) or (out,); None is the identity.
        start: Where to begin, (out, in).
        iterations: The most.
        tolerance: Of the residual, relative to the right side.
    """
    grams = [gram.double() for gram in inputs]
    if gradients is None:
        total = sum_of(grams)
        right = sum_of(after(weight.double(), gram) for weight, gram in zip(weights, grams, strict=True))
        return solve(lambda matrix: after(matrix, total), right, start, iterations=iterations, tolerance=tolerance)
    pairs = list(zip(grams, (gram.double() for gram in gradients), strict=True))
    right = sum_of(after(_before(b, weight.double()), a) for (a, b), weight in zip(pairs, weights, strict=True))
    return solve(
        lambda matrix: sum_of(after(_before(b, matrix), a) for a, b in pairs),
        right,
        start,
        iterations=iterations,
        tolerance=tolerance,
    )


def after(matrix: torch.Tensor, gram: torch.Tensor) -> torch.Tensor:
    """A matrix times inner products of inputs, of which there may be the diagonal alone."""
    return matrix @ gram if gram.ndim == 2 else matrix * gram


def _before(gram: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    return gram @ matrix if gram.ndim == 2 else gram[:, None] * matrix


def sum_of(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    """The sum of tensors, added up in their order."""
    return functools.reduce(torch.add, tensors)
