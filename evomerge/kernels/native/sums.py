"""Binding of ``csrc/sums.c``: sums of runs, which are added up exactly here."""

from __future__ import annotations

import ctypes

import torch

from evomerge.kernels.exact import exact_sum
from evomerge.kernels.masks import Mask
from evomerge.kernels.native import passes
from evomerge.kernels.native.structs import (
    ArrayStruct,
    Long,
    MaskStruct,
    ValuesStruct,
    array_struct,
    mask_struct,
    values_struct,
)
from evomerge.kernels.operands import Selection, Values, Variance

_RUN = 1 << 10


class SumsStruct(ctypes.Structure):
    """``sums_t``."""

    _fields_ = [
        ("next", Long),
        ("numel", Long),
        ("sums", ctypes.c_void_p),
        ("of", ValuesStruct),
        ("mask", MaskStruct),
        ("left", ArrayStruct),
        ("right", ArrayStruct),
    ]


class SquaresStruct(ctypes.Structure):
    """``squares_t``."""

    _fields_ = [
        ("next", Long),
        ("numel", Long),
        ("sums", ctypes.c_void_p),
        ("of", ValuesStruct),
        ("select", ValuesStruct),
        ("selected", MaskStruct),
    ]


def dot(left: torch.Tensor, right: torch.Tensor) -> float:
    """See :func:`evomerge.kernels.dot`; of flat tensors."""
    return _sum(SumsStruct(numel=left.numel(), left=array_struct(left), right=array_struct(right)))


def absolute_sum(values: Values, mask: Mask | None) -> float:
    """See :func:`evomerge.kernels.absolute_sum`."""
    return _sum(SumsStruct(numel=values.base.numel(), of=values_struct(values), mask=mask_struct(mask)))


def square_sums(deltas: Variance, select: Selection | None) -> list[float]:
    """See :func:`evomerge.kernels.square_sums`."""
    numel = deltas.base.numel()
    found = torch.empty(len(deltas.models), _runs(numel), dtype=torch.float64)
    job = SquaresStruct(numel=numel, sums=found.data_ptr(), of=values_struct(deltas))
    if select is not None:
        job.select, job.selected = values_struct(select.values), mask_struct(select.window)
    passes.run("evomerge_squares", job, numel)
    return [exact_sum(sums.tolist()) for sums in found]


def _sum(job: SumsStruct) -> float:
    found = torch.empty(_runs(job.numel), dtype=torch.float64)
    job.sums = found.data_ptr()
    passes.run("evomerge_sums", job, job.numel)
    return exact_sum(found.tolist())


def _runs(numel: int) -> int:
    return -(-numel // _RUN)
