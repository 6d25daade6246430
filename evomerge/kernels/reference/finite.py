"""Check for NaN and infinity."""

from __future__ import annotations

import torch

from evomerge.kernels.blocks import flat, spans
from evomerge.kernels.operands import Finite


def finite_flag(tensor: torch.Tensor) -> Finite:
    """See :func:`evomerge.kernels.finite_flag`; of at least one element."""
    elements = flat(tensor)
    blocks = (elements[span].isfinite().all() for span in spans(elements.numel(), device=elements.device))
    return all(map(bool, blocks)) if tensor.device.type == "cpu" else torch.stack(list(blocks)).all()
