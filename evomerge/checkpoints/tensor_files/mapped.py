"""Memory-mapped tensors: pages are read when touched, and once for all processes of the machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

import torch

from evomerge.checkpoints.tensor_files.header import TensorInfo

_HASHED_AT_ONCE = 1 << 24


def map_file(path: Path) -> torch.UntypedStorage:
    """Maps a whole file; its pages are read when touched and never written back."""
    return cast("torch.UntypedStorage", torch.UntypedStorage.from_file(str(path), False, path.stat().st_size))


def is_aligned(info: TensorInfo) -> bool:
    """Whether a tensor starts where its element type can be read in place; the format allows other places."""
    return info.offset % info.dtype.itemsize == 0


def mapped(storage: torch.UntypedStorage, info: TensorInfo) -> torch.Tensor:
    """One tensor of a mapped file, to be read only: a view if it is aligned, else a copy."""
    data = torch.empty(0, dtype=torch.uint8).set_(storage, info.offset, (info.nbytes,), (1,))  # type: ignore[call-overload]
    if not is_aligned(info):
        data = data.clone()
    return data.view(info.dtype).view(info.shape)


def content_digest(names: Iterable[str], tensor: Callable[[str], torch.Tensor]) -> str:
    """SHA-256 over names, types, shapes and values, in the order of the names.

    Args:
        names: Of all tensors.
        tensor: Gives the tensor of a name, on the CPU and contiguous.
    """
    digest = hashlib.sha256()
    for name in sorted(names):
        found = tensor(name)
        digest.update(json.dumps([name, str(found.dtype), tuple(found.shape)]).encode())
        if found.numel():
            # Flattened first: a scalar has no last dimension to reinterpret.
            data = found.reshape(-1).view(torch.uint8).numpy()
            for start in range(0, len(data), _HASHED_AT_ONCE):
                digest.update(data[start : start + _HASHED_AT_ONCE].data)
    return digest.hexdigest()
