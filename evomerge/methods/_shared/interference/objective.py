"""The quadratic objective of interference: curvature and pull of one matrix."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from evomerge.methods._shared.inputs import Options, TensorContext
from evomerge.methods._shared.matrices import MatrixDeltas, is_optimised
from evomerge.methods._shared.spectral.decomposition import one_thread

ArraysOf = Callable[[MatrixDeltas, Sequence[float], Options], Mapping[str, torch.Tensor]]
"""Gives named arrays on the CPU, from deltas and their squared norms."""
Prepare = Callable[[TensorContext, torch.Tensor, Sequence[torch.Tensor], Options], Mapping[str, torch.Tensor]]
# Squared norm of a delta below which it counts as zero, in the authors' code.
_TINY = 1e-12


def has_optimum(squares: Sequence[float]) -> bool:
    """Whether deltas of these squared norms are finite and not all tiny, so that there is something to minimise."""
    return all(map(math.isfinite, squares)) and max(squares) >= _TINY


def preparing(arrays_of: ArraysOf) -> Prepare:
    """The ``prepare`` of a method that minimises interference, from the arrays that it prepares for a matrix."""

    def prepare(
        context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor], options: Options
    ) -> Mapping[str, torch.Tensor]:
        """Arrays of a matrix that the options name; nothing for other tensors, and where nothing can be minimised."""
        if not is_optimised(context, base.shape, options):
            return {}
        deltas = MatrixDeltas(base, models)
        squares = deltas.square_norms()
        return arrays_of(deltas, squares, options) if has_optimum(squares) else {}

    return prepare


@dataclass(frozen=True)
class Objective:
    """Interference as a quadratic of the merged delta ``t``: its gradient is ``2 (t C - D)``. All float64.

    Everything lies in a space of ``k`` dimensions, that of the inputs or a smaller one that the deltas' rows span.

    Attributes:
        curvature: ``C`` in that space, ``(k, k)``.
        maps: For each model ``(in, k)``: ``D`` in that space is the sum of the deltas, each times its map.
        basis: Orthonormal columns ``(in, k)`` that span the space; None is the space of all inputs.
    """

    curvature: torch.Tensor
    maps: Sequence[torch.Tensor]
    basis: torch.Tensor | None = None

    @one_thread()
    def eigen(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Eigenvalues of the curvature, ascending ``(k,)``, and its eigenvectors in the inputs' space ``(in, k)``."""
        values, vectors = torch.linalg.eigh(self.curvature)
        return values, vectors if self.basis is None else self.basis @ vectors

    @one_thread()
    def pull(self, deltas: MatrixDeltas, vectors: torch.Tensor) -> torch.Tensor:
        """``D`` times vectors of the inputs' space, ``(out, number of vectors)``."""
        inside = vectors if self.basis is None else self.basis.t() @ vectors
        return deltas.mapped([own @ inside for own in self.maps])

    @one_thread()
    def full(self, deltas: MatrixDeltas) -> tuple[torch.Tensor, torch.Tensor]:
        """``C``, ``(in, in)``, and ``D``, ``(out, in)``, in the space of all inputs."""
        pull = deltas.mapped(self.maps)
        if self.basis is None:
            return self.curvature, pull
        return self.basis @ self.curvature @ self.basis.t(), pull @ self.basis.t()


@one_thread()
def interference(deltas: MatrixDeltas, squares: Sequence[float]) -> Objective:
    """The objective of Cheng et al. 2025 (WUDI): every delta is target and projector.

    Args:
        deltas: The deltas.
        squares: Their squared norms, not all of them tiny.
    """
    height, width = deltas.shape
    basis = (
        _basis(torch.cat([deltas.of(model) for model in range(len(squares))]))
        if len(squares) * height < width
        else None
    )
    maps = [gram / max(square, _TINY) for gram, square in zip(deltas.grams(basis), squares, strict=True)]
    total = _sum(maps)
    return Objective(_symmetric(total if basis is None else basis.t() @ total), maps, basis)


@one_thread()
def truncated_interference(deltas: MatrixDeltas, squares: Sequence[float], rank: int, *, centred: bool) -> Objective:
    """The objective of Wei et al. 2025 (OptMerge): targets and projectors of low rank.

    Args:
        deltas: The deltas.
        squares: Their squared norms, not all of them tiny.
        rank: How many singular values are kept of each projector and target, at least one.
        centred: Whether a target is the mean delta plus its own difference to that, truncated; else its own, truncated.
    """
    rows = []
    for model, square in enumerate(squares):
        values, vectors = top_right_vectors(deltas.of(model), rank)
        rows.append(vectors * (values / max(square, _TINY) ** 0.5))
    stack = torch.cat(rows, dim=1).t()  # (n * rank, in)
    basis = _basis(stack) if len(stack) < deltas.shape[1] else None
    inside = [own.t() if basis is None else own.t() @ basis for own in rows]  # (rank, k)
    maps = [own @ projected for own, projected in zip(rows, inside, strict=True)]
    if centred:
        maps = _centred(deltas, maps, rank)
    curvature = _sum([own.t() @ own for own in inside])
    return Objective(_symmetric(curvature), maps, basis)


def _centred(deltas: MatrixDeltas, maps: Sequence[torch.Tensor], rank: int) -> list[torch.Tensor]:
    """Maps of targets that are the mean delta plus a truncated rest, from those of the deltas themselves."""
    count = len(maps)
    mean = _sum([deltas.of(model) for model in range(count)]) / count
    truncated = []
    for model, own in enumerate(maps):
        _, vectors = top_right_vectors(deltas.of(model) - mean, rank)
        truncated.append(vectors @ (vectors.t() @ own))
    # The target is (delta - mean) Q Q^T + mean: what of the mean is left over is shared out among the deltas.
    left = _sum([own - kept for own, kept in zip(maps, truncated, strict=True)]) / count
    return [kept + left for kept in truncated]


@one_thread()
def top_right_vectors(matrix: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The largest singular values of a float64 matrix, ascending ``(rank,)``, and their right vectors, ``(in, rank)``.

    Where a singular value is zero but for rounding, so is its vector: any other would say something that is not there.
    """
    height, width = matrix.shape
    wide = width > height
    squares, vectors = torch.linalg.eigh(matrix @ matrix.t() if wide else matrix.t() @ matrix)
    squares, vectors = squares[-rank:], vectors[:, -rank:]
    there = squares > squares[-1] * max(height, width) * torch.finfo(squares.dtype).eps
    values = torch.where(there, squares, 0.0).sqrt()
    if wide:
        return values, matrix.t() @ vectors * torch.where(there, 1 / values, 0.0)
    return values, vectors * there


def _basis(rows: torch.Tensor) -> torch.Tensor:
    """Orthonormal columns ``(in, k)`` that span ``k`` rows ``(k, in)``."""
    return torch.linalg.qr(rows.t())[0]


def _sum(matrices: Sequence[torch.Tensor]) -> torch.Tensor:
    total = matrices[0].clone()
    for own in matrices[1:]:
        total += own
    return total


def _symmetric(matrix: torch.Tensor) -> torch.Tensor:
    return (matrix + matrix.t()) / 2
