"""Cosines between the columns of models' weights: whether they are of one family, before any base is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from evomerge.checkpoints.source import CheckpointSource

__all__ = ["column_cosines"]

# Elements that are compared together, as float64 copies.
_TOGETHER = 1 << 20


def column_cosines(models: Sequence[CheckpointSource], names: Sequence[str]) -> NDArray[np.float64]:
    """Mean cosine between the columns of models, by which Model-GLUE (arXiv:2410.05357) finds mergeable ones.

    Args:
        models: Models that have each of the tensors in one shape; every tensor is read once.
        names: The tensors that count, each as much as any other. A vector is one column; of more than two dimensions
            all but the first are taken together. Columns that a model has zeros alone in do not count.

    Returns:
        ``(n, n)``; NaN where nothing counts.
    """
    total, counted = np.zeros((2, len(models), len(models)))
    for name in names:
        tensors = [model.tensor(name) for model in models]
        rows = tensors[0].shape[0] if tensors[0].ndim > 1 else tensors[0].numel()
        found, known = _compared([tensor.reshape(rows, -1) for tensor in tensors])
        with np.errstate(invalid="ignore"):
            total += np.where(known > 0, found / known, 0.0)
        counted += known > 0
    with np.errstate(invalid="ignore"):
        mean: NDArray[np.float64] = total / counted
    return mean


def _compared(matrices: Sequence[torch.Tensor]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums of cosines over columns, and the numbers of columns that have one, both ``(n, n)``."""
    rows, columns = matrices[0].shape
    found, known = np.zeros((2, len(matrices), len(matrices)))
    step = max(_TOGETHER // max(rows, 1), 1)
    for start in range(0, columns, step):
        block = torch.stack([matrix[:, start : start + step].double() for matrix in matrices])
        lengths = block.norm(dim=1, keepdim=True)
        unit = torch.where(lengths > 0, block / lengths, 0.0)
        there = (lengths[:, 0] > 0).double()
        found += torch.einsum("irc,jrc->ij", unit, unit).numpy()
        known += (there @ there.T).numpy()
    return found, known
