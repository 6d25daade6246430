"""NaN and infinity among the weights, found before they turn every score into nonsense."""

from __future__ import annotations

import torch

from evomerge.checkpoints.adapters import adapter_of
from evomerge.checkpoints.computed import is_computed
from evomerge.checkpoints.source import CheckpointSource

_BLOCK = 1 << 24


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether all elements are finite, without a copy of the tensor.

    Minimum and maximum carry a NaN through, so the two of them tell.
    """
    if not tensor.is_floating_point() or tensor.numel() == 0:
        return True
    low, high = torch.aminmax(tensor)
    return bool(torch.isfinite(low)) and bool(torch.isfinite(high))


def find_nonfinite(checkpoint: CheckpointSource) -> tuple[str, ...]:
    """Scans all weights of a checkpoint once for NaN and infinity; of an adapter on one its own tensors.

    Returns:
        One problem per affected tensor, naming the tensor, the file and how many of its elements are affected.
    """
    adapted = adapter_of(checkpoint)
    source = checkpoint if adapted is None else adapted.adapter
    problems = []
    for name, info in source.specs.items():
        if is_computed(name, info):
            continue  # masks may hold infinity
        flat = source.tensor(name).reshape(-1)
        blocks = flat.split(_BLOCK) if flat.numel() else ()
        if not all(is_finite(block) for block in blocks):
            count = sum(int((~torch.isfinite(block)).sum()) for block in blocks)
            problems.append(
                f"tensor {name!r} in {str(source.file(name))!r} has {count} of {info.numel} elements that are NaN "
                "or infinite"
            )
    return tuple(problems)
