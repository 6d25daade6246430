"""Binding of ``program/finite.py``."""

from __future__ import annotations

import torch

from evomerge.kernels.blocks import flat
from evomerge.kernels.fused import flags
from evomerge.kernels.fused.launch import BLOCK, launches, part
from evomerge.kernels.fused.program.finite import finite_kernel


def finite_flag(tensor: torch.Tensor) -> torch.Tensor:
    """See :func:`evomerge.kernels.finite_flag`; of contiguous memory."""
    finite, elements = flags.raised(tensor.device), flat(tensor)
    for span, grid in launches(elements.numel(), tensor.device):
        finite_kernel[grid](part(elements, span), finite, span.stop - span.start, BLOCK=BLOCK)
    return finite
