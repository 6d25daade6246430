"""Magnitudes as integers."""

from __future__ import annotations

import torch


def magnitude_bits(values: torch.Tensor) -> torch.Tensor:
    """The bits of float32 ``|values|`` as int32, which order as the magnitudes do; all NaN alike are the largest."""
    return (values.view(torch.int32) & 0x7FFFFFFF).clamp_(max=0x7F800001)
