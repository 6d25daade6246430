"""Check for NaN and infinity."""

from __future__ import annotations

import torch

from evomerge.kernels.blocks import flat, spans


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether all elements of a tensor are finite, block by block."""
    elements = flat(tensor)
    return all(bool(elements[span].isfinite().all()) for span in spans(elements.numel(), device=elements.device))
