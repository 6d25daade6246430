"""Singular values and vectors, and polar factors, of float32 matrices.

They come from the eigenvectors of the Gram matrix of the matrix's shorter side, in float64: that resolves singular
values as far as a decomposition in float32 would, takes no longer, and of long matrices much less. LAPACK adds up in
another order on another number of threads, so it runs on one, and so do long sums; short products need not. Directions
whose singular value is below :data:`LEAST` of the largest count as none: what they are is up to rounding.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch

LEAST = 1e-5
"""Singular values below this share of the largest one count as zero."""
# Elements of a long matrix that are held in float64 at once. A constant: sums depend on it.
_BLOCK = 1 << 22
# Columns that are multiplied at once at least.
_STRIP = 64


@dataclass(frozen=True)
class Svd:
    """The singular triples of a matrix whose singular values are not zero, largest first.

    The element of largest magnitude of every right vector (of the left one, where the matrix has more columns than
    rows) is positive; the first of them, where there are several.

    Attributes:
        left: Left singular vectors, float32, ``(rows, rank)``.
        values: Singular values, float64, ``(rank,)``.
        right: Right singular vectors, float32, ``(columns, rank)``.
    """

    left: torch.Tensor
    values: torch.Tensor
    right: torch.Tensor

    @property
    def rank(self) -> int:
        """Number of triples."""
        return len(self.values)

    def top(self, count: int) -> Svd:
        """The first of them."""
        return Svd(self.left[:, :count], self.values[:count], self.right[:, :count])

    def product(self, values: torch.Tensor | None = None) -> torch.Tensor:
        """The matrix, float32, or that with other singular values."""
        scaled = self.left * (self.values if values is None else values).to(torch.float32)
        return scaled @ self.right.t()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Within it torch computes on one thread.

    The number of threads is one of the whole process: tensors are prepared and merged by one thread at a time, here and
    in every method that decomposes.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def svd(matrix: torch.Tensor, least: float = LEAST) -> Svd:
    """The singular value decomposition of a finite float32 matrix.

    Args:
        matrix: The matrix.
        least: Singular values below this share of the largest one count as zero; below 1e-7 they are rounding.
    """
    if matrix.shape[0] < matrix.shape[1]:
        turned = svd(matrix.t().contiguous(), least)
        return Svd(turned.right, turned.values, turned.left)
    values, vectors = _eigen(matrix, least)
    return Svd(_times(matrix, vectors / values), values, vectors.to(torch.float32))


def short_side(matrix: torch.Tensor, least: float = LEAST) -> torch.Tensor:
    """Singular vectors of a finite float32 matrix's shorter side, float32, ``(side, rank)``, in the order of `svd`.

    Args:
        matrix: The matrix; of a square one the right vectors.
        least: Singular values below this share of the largest one count as zero.
    """
    turned = matrix.t().contiguous() if matrix.shape[0] < matrix.shape[1] else matrix
    return _eigen(turned, least)[1].to(torch.float32)


def polar(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The polar factor of a finite float32 matrix, and its singular values.

    The factor is the product of the left and the right singular vectors: every singular value that is not zero becomes
    one.

    Returns:
        The factor, float32, and the singular values that are not zero, float64, largest first.
    """
    if matrix.shape[0] < matrix.shape[1]:
        factor, values = polar(matrix.t().contiguous())
        return factor.t().contiguous(), values
    values, vectors = _eigen(matrix, LEAST)
    return _times(matrix, (vectors / values) @ vectors.t()), values


def _eigen(matrix: torch.Tensor, least: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Singular values that are not zero, largest first, and right singular vectors as columns, float64."""
    with one_thread():
        squares, vectors = torch.linalg.eigh(_gram(matrix), UPLO="U")
    values = squares.clamp(min=0).sqrt().flip(0)
    rank = int((values > least * values[:1]).sum())
    vectors = vectors.flip(1)[:, :rank]
    if rank:
        largest = vectors.abs().argmax(dim=0, keepdim=True)
        vectors = vectors * vectors.gather(0, largest).sign()
    return values[:rank], vectors.contiguous()


def _gram(matrix: torch.Tensor) -> torch.Tensor:
    """Inner products of a matrix's columns, float64; below the diagonal some are left out."""
    side = matrix.shape[1]
    width = max(_STRIP, -(-side // 4))
    total = torch.zeros(side, side, dtype=torch.float64, device=matrix.device)
    for block in matrix.split(_rows(matrix)):
        own = block.to(torch.float64)
        for start in range(0, side, width):
            strip = slice(start, start + width)
            total[strip, start:].addmm_(own[:, strip].t(), own[:, start:])
    return total


def _times(matrix: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """The product with a float64 matrix, rounded to float32."""
    return torch.cat([(block.to(torch.float64) @ right).to(torch.float32) for block in matrix.split(_rows(matrix))])


def _rows(matrix: torch.Tensor) -> int:
    return max(1, _BLOCK // max(1, matrix.shape[1]))
