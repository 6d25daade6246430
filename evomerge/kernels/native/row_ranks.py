"""Binding of ``csrc/row_ranks.c``."""

from __future__ import annotations

import ctypes

import torch

from evomerge.kernels.blocks import flat
from evomerge.kernels.native import passes
from evomerge.kernels.native.structs import ArrayStruct, Long, array_struct
from evomerge.kernels.operands import Delta


class RowRanksStruct(ctypes.Structure):
    """``row_ranks_t``."""

    _fields_ = [
        ("next", Long),
        ("rows", Long),
        ("columns", Long),
        ("base", ArrayStruct),
        ("model", ArrayStruct),
        ("ranks", ctypes.c_void_p),
    ]


def row_ranks(delta: Delta, columns: int) -> torch.Tensor:
    """See :func:`evomerge.kernels.row_ranks`; flat, of rows of ``columns`` elements."""
    base, model = flat(delta.base), flat(delta.model)
    ranks = torch.empty(base.numel(), dtype=torch.uint16)
    job = RowRanksStruct(
        rows=base.numel() // columns,
        columns=columns,
        base=array_struct(base),
        model=array_struct(model),
        ranks=ranks.data_ptr(),
    )
    passes.run("evomerge_row_ranks", job, base.numel())
    return ranks
