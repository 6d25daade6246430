"""Matrices that reproduce what several linear layers do on inputs of their own: forms of the same least squares.

The matrix ``W`` of smallest ``sum_i c_i ||X_i (W - W_i)^T||^2`` solves ``W sum_i c_i G_i = sum_i c_i W_i G_i`` with the
Gram matrices ``G_i = X_i^T X_i``; their off-diagonal elements are multiplied by alpha first. Everything is computed of
deviations, models less the mean of all, so that rounding is relative to what models differ in. The forms, and what a
candidate costs of a matrix with m outputs and k inputs:

========  ===============================================  ==============================================
form      for                                              a candidate
========  ===============================================  ==============================================
general   any weights and alpha                            Cholesky, k^3 / 3, and m k^2 products twice
spectral  equal weights, any alpha                         m k^2 products once
pair      two models, any weights, one alpha               m k^2 products once
diagonal  alpha of 0, or inputs without a whole Gram       as the plain average
========  ===============================================  ==============================================

An alpha above ``1 - RIDGE`` counts as that: what no text tells apart follows the diagonal alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from evomerge.methods._shared.spectral.decomposition import one_thread

RIDGE = 1e-6
Arrays = Mapping[str, torch.Tensor]
# Elements of a float64 block of rows: 16 MiB.
_BLOCK = 1 << 21


def rows_at_once(width: int) -> int:
    """The number of rows of a matrix that are computed at once; sums do not depend on it."""
    return max(1, _BLOCK // max(1, width))


def alive(arrays: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Gram matrices, or their diagonals, in float64; channels that no model uses count alike in all of them."""
    found = [array.to(torch.float64, copy=True) for array in arrays]
    diagonals = [own.diagonal() if own.dim() == 2 and own.shape[0] == own.shape[1] else own.view(-1) for own in found]
    dead = torch.stack(diagonals).sum(0) <= 0
    for own in diagonals:
        own[dead] = 1.0
    return found


def shrunk(gram: torch.Tensor, alpha: float) -> torch.Tensor:
    """A Gram matrix whose off-diagonal elements are multiplied by alpha; fresh memory."""
    own = gram * min(alpha, 1.0 - RIDGE)
    own.diagonal().copy_(gram.diagonal())
    return own


def deviations(models: Sequence[torch.Tensor], rows: slice) -> list[torch.Tensor]:
    """Some rows of each model less the mean of all, float64."""
    found = [model[rows].detach().to(torch.float64) for model in models]
    mean = mean_of(found)
    return [own.sub_(mean) for own in found]


def mean_of(blocks: Sequence[torch.Tensor]) -> torch.Tensor:
    """The mean of blocks, added up in their order; fresh memory."""
    total = blocks[0].clone()
    for block in blocks[1:]:
        total.add_(block)
    return total.div_(len(blocks))


@one_thread()
def prepare_general(models: Sequence[torch.Tensor], grams: Sequence[torch.Tensor]) -> Arrays:
    """``gram.I``, and ``product.I``, the deviation of each model times its Gram matrix."""
    arrays = {f"gram.{number}": gram.float().contiguous() for number, gram in enumerate(grams)}
    parts: list[list[torch.Tensor]] = [[] for _ in models]
    for rows in _rows(models[0]):
        for part, own, gram in zip(parts, deviations(models, rows), grams, strict=True):
            part.append((own @ gram).float())
    return arrays | {f"product.{number}": torch.cat(part) for number, part in enumerate(parts)}


@one_thread()
def prepare_spectral(models: Sequence[torch.Tensor], grams: Sequence[torch.Tensor]) -> Arrays:
    """For equal weights: the spectrum of the mean Gram matrix, scaled to a diagonal of ones, and sums along it.

    The sums are those of deviations times Gram matrices, ``whole``, and times their diagonals; ``vectors`` lead back.
    """
    total = mean_of(grams)
    scale = total.diagonal().rsqrt()
    values, vectors = torch.linalg.eigh(scale[:, None] * total * scale)
    right = scale[:, None] * vectors
    whole, diagonal = [], []
    for rows in _rows(models[0]):
        own = deviations(models, rows)
        whole.append((mean_of([one @ gram for one, gram in zip(own, grams, strict=True)]) @ right).float())
        diagonal.append(
            (mean_of([one * gram.diagonal() for one, gram in zip(own, grams, strict=True)]) @ right).float()
        )
    return {
        "values": values.clamp(min=0.0),
        "vectors": right.t().float().contiguous(),
        "whole": torch.cat(whole),
        "diagonal": torch.cat(diagonal),
    }


@one_thread()
def prepare_pair(models: Sequence[torch.Tensor], grams: Sequence[torch.Tensor], alpha: float) -> Arrays:
    """For two models: generalised eigenvalues of the first Gram matrix and their sum, and half the difference there."""
    first, second = (shrunk(gram, alpha) for gram in grams)
    total = first + second
    scale = total.diagonal().rsqrt()
    lower = torch.linalg.cholesky(scale[:, None] * total * scale)
    inner = torch.linalg.solve_triangular(lower, scale[:, None] * first * scale, upper=False)
    inner = torch.linalg.solve_triangular(lower, inner.t(), upper=False)
    values, vectors = torch.linalg.eigh((inner + inner.t()) / 2)
    right = scale[:, None] * torch.linalg.solve_triangular(lower.t(), vectors, upper=True)
    back = total @ right
    half = [(deviations(models, rows)[0] @ back).float() for rows in _rows(models[0])]
    return {
        "shares": values.clamp(0.0, 1.0),
        "vectors": right.t().float().contiguous(),
        "half": torch.cat(half),
    }


def spectral_rows(arrays: Arrays, alpha: float, rows: slice) -> torch.Tensor:
    """Some rows of the solution less the mean, float32, of equal weights."""
    alpha = min(alpha, 1.0 - RIDGE)
    divisors = (alpha * arrays["values"] + (1.0 - alpha)).float()
    own = (arrays["whole"][rows] * alpha).add_(arrays["diagonal"][rows], alpha=1.0 - alpha)
    return own.div_(divisors.to(own.device)) @ arrays["vectors"]


def pair_rows(arrays: Arrays, share: float, rows: slice) -> torch.Tensor:
    """Some rows of the solution less the mean, float32, where the first model has a share of the weights."""
    first, second = share * arrays["shares"], (1.0 - share) * (1.0 - arrays["shares"])
    factors = ((first - second) / (first + second)).float()
    return (arrays["half"][rows] * factors.to(arrays["half"].device)) @ arrays["vectors"]


class GeneralSolution:
    """The solution for some weights and alpha, by a Cholesky factor of the weighted sum of Gram matrices.

    Args:
        arrays: As :func:`prepare_general` gives them.
        shares: The weight of each model; those of weight zero take no part.
        alpha: Factor of off-diagonal elements.
    """

    def __init__(self, arrays: Arrays, shares: Sequence[float], alpha: float) -> None:
        self._arrays, self._alpha = arrays, min(alpha, 1.0 - RIDGE)
        self._shares = {model: share for model, share in enumerate(shares) if share != 0}
        self._diagonals = {model: arrays[f"gram.{model}"].diagonal().double() for model in self._shares}
        total = torch.zeros((), dtype=torch.float64, device=arrays["gram.0"].device)
        for model, share in self._shares.items():
            total = total + share * arrays[f"gram.{model}"].double()
        self._scale = total.diagonal().rsqrt()
        with one_thread():
            self._lower = torch.linalg.cholesky(shrunk(self._scale[:, None] * total * self._scale, self._alpha))

    def rows(self, models: Sequence[torch.Tensor], rows: slice) -> torch.Tensor:
        """Some rows of the solution less the mean of all models, float64."""
        right = torch.zeros((), dtype=torch.float64, device=self._scale.device)
        own = deviations(models, rows)
        for model, share in self._shares.items():
            product = self._arrays[f"product.{model}"][rows].double()
            right = right + product.mul_(share * self._alpha)
            right += own[model].mul_(self._diagonals[model]).mul_(share * (1.0 - self._alpha))
        with one_thread():
            found = torch.cholesky_solve((right * self._scale).t(), self._lower)
        return found.t() * self._scale


def _rows(matrix: torch.Tensor) -> list[slice]:
    height, width = matrix.shape
    step = rows_at_once(width)
    return [slice(start, min(start + step, height)) for start in range(0, height, step)]
