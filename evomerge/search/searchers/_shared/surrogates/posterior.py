"""A Gaussian process that has seen values."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from evomerge.search.searchers._shared.surrogates.optuna_adapter import Kernel

__all__ = ["Posterior"]

_LEAST = 1e-12  # variance, so that a known genome has one


class Posterior:
    """Predictions of a process that has seen values, by a kernel whose parameters are held.

    Args:
        kernel: The parameters of a Matern kernel of 5/2, and of the noise.
        X: Genomes, ``(n, n_var)``.
        y: Their values, ``(n,)``.
    """

    def __init__(self, kernel: Kernel, X: Tensor, y: Tensor) -> None:
        self._scales, self._variance = kernel.inverse_squared_lengthscales.sqrt(), kernel.kernel_scale
        self._X = X * self._scales
        covariance = self._covariance(self._X)
        covariance.diagonal().add_(kernel.noise_var)
        self._root = torch.linalg.cholesky(covariance)
        self._weights = torch.cholesky_solve(y[:, None], self._root)[:, 0]

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Means and standard deviations at genomes ``(m, n_var)``, each ``(m,)``."""
        covariance = self._covariance(x * self._scales)
        known = torch.linalg.solve_triangular(self._root, covariance.T, upper=False)
        variance = (self._variance - (known * known).sum(dim=0)).clamp_min(0.0)
        return covariance @ self._weights, (variance + _LEAST).sqrt()

    def _covariance(self, scaled: Tensor) -> Tensor:
        """Between scaled genomes and those that were seen."""
        far = math.sqrt(5.0) * torch.cdist(scaled, self._X)
        return self._variance * torch.exp(-far) * (1.0 + far + far * far / 3.0)
