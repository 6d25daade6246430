"""Binding of ``csrc/finite.c``."""

from __future__ import annotations

import ctypes

import torch

from evomerge.kernels.blocks import flat
from evomerge.kernels.native import passes
from evomerge.kernels.native.structs import ArrayStruct, Long, array_struct


class FiniteStruct(ctypes.Structure):
    """``finite_t``."""

    _fields_ = [("next", Long), ("numel", Long), ("broken", Long), ("of", ArrayStruct)]


def finite_flag(tensor: torch.Tensor) -> bool:
    """See :func:`evomerge.kernels.finite_flag`."""
    tensor = flat(tensor)
    job = FiniteStruct(numel=tensor.numel(), of=array_struct(tensor))
    passes.run("evomerge_finite", job, tensor.numel())
    return not job.broken
