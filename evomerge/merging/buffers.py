"""Memory that tensors are merged into, and the checksum of what is in it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import torch

from evomerge.checkpoints import TensorSpec

Memory = Callable[[str, TensorSpec], torch.Tensor]
"""Gives the memory that a tensor is merged into: contiguous, of the shape and type of the spec."""


# Elements of a checksum that are looked at together: torch widens all that it sums to 64 bits before it does.
_COMPARED = 1 << 22  # elements that are compared at once
_SUMMED = 1 << 22


class Buffer:
    """Memory for one merged tensor after the other, as large as the largest so far.

    Args:
        device: Where it is.
    """

    def __init__(self, device: torch.device) -> None:
        self._bytes = torch.empty(0, dtype=torch.uint8, device=device)

    def __call__(self, name: str, spec: TensorSpec) -> torch.Tensor:
        """The memory, as a tensor to be overwritten; the one given before is no longer valid."""
        if self._bytes.numel() < spec.nbytes:
            device = self._bytes.device
            self._bytes = torch.empty(0, dtype=torch.uint8)  # the old one goes before the new one comes
            self._bytes = torch.empty(spec.nbytes, dtype=torch.uint8, device=device)
        return self._bytes[: spec.nbytes].view(spec.dtype).view(spec.shape)


def new_memory(device: torch.device) -> Memory:
    """Memory that stays with each tensor."""
    return lambda name, spec: torch.empty(spec.shape, dtype=spec.dtype, device=device)


def checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    """A short fingerprint of tensors, see :meth:`evomerge.merging.live.LiveModel.checksum`."""
    digest, integers = hashlib.sha256(), {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    for name, tensor in tensors.items():
        bits = tensor.reshape(-1).view(integers[tensor.element_size()])
        total = torch.stack([block.sum(dtype=torch.int64) for block in bits.split(_SUMMED)]).sum()
        digest.update(f"{name} {tuple(tensor.shape)} {int(total)};".encode())
    return digest.hexdigest()[:16]


def same_places(there: torch.Tensor, here: torch.Tensor) -> bool:
    """Whether two tensors of one shape are equal once the second has the first one's type, a part at a time.

    NaN equals nothing; comparing it as another value keeps this a check of places, not of values.
    """
    rows = max(1, len(there) * _COMPARED // max(1, there.numel()))
    parts = zip(there.split(rows), here.split(rows), strict=True)
    return all(torch.equal(one.nan_to_num(), two.to(one.device, one.dtype).nan_to_num()) for one, two in parts)
