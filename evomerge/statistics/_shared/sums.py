"""Steps that sums of statistics are made of, a block at a time: no second array of a tensor's size is ever made."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch._subclasses.fake_tensor import FakeTensor

from evomerge.statistics._shared.simulation import repeated

_BLOCK = 1 << 20  # elements


def blocks(*tensors: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
    """Consecutive parts of contiguous tensors of one size, as views; of tensors without values one for all."""
    flat = [tensor.view(-1) if tensor.is_contiguous() else tensor.reshape(-1) for tensor in tensors]
    if isinstance(flat[0], FakeTensor):  # the others would take the same memory
        with repeated(-(-flat[0].numel() // _BLOCK)):
            yield tuple(tensor[:_BLOCK] for tensor in flat)
        return
    for start in range(0, flat[0].numel(), _BLOCK):
        yield tuple(tensor[start : start + _BLOCK] for tensor in flat)


def add_squares(total: torch.Tensor, seen: torch.Tensor) -> None:
    """Adds the squares of elements, computed in the total's type."""
    for sums, part in blocks(total, seen):
        wide = part.to(total.dtype)
        sums.addcmul_(wide, wide)


def add_magnitudes(total: torch.Tensor, seen: torch.Tensor) -> None:
    """Adds the magnitudes of elements."""
    for sums, part in blocks(total, seen):
        sums.add_(part.to(total.dtype).abs())


def add_products(total: torch.Tensor, seen: torch.Tensor) -> None:
    """Adds the products of each row with itself, ``(channels, channels)``, or the squares alone to ``(channels,)``.

    Args:
        total: The sums.
        seen: ``(rows, channels)``.
    """
    rows = seen.to(total.dtype)
    if total.ndim == 2 and total.shape[0] == total.shape[1] == rows.shape[1]:
        total.addmm_(rows.t(), rows)
        return
    for part in rows.split(max(1, _BLOCK // max(1, rows.shape[1]))):
        total.view(-1).add_(part.square().sum(0))
