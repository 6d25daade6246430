"""Inner products of the weights of several models, tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from evomerge.checkpoints.source import CheckpointSource

# Elements that are taken together: their products are float64 copies.
_TOGETHER = 1 << 20


def inner_products(
    models: Sequence[CheckpointSource], names: Sequence[str]
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Each tensor with the inner products of the models in it, ``(models, models)``; squared lengths on the diagonal.

    Args:
        models: Models that have each of the tensors in one shape.
        names: The tensors; each is read once.
    """
    for name in names:
        tensors = [model.tensor(name).reshape(-1) for model in models]
        total = torch.zeros(len(models), len(models), dtype=torch.float64)
        for start in range(0, tensors[0].numel(), _TOGETHER):
            rows = torch.stack([tensor[start : start + _TOGETHER].double() for tensor in tensors])
            total += rows @ rows.T
        yield name, total.numpy()
