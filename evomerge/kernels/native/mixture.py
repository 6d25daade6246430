"""Binding of ``csrc/mixture.c``."""

from __future__ import annotations

import ctypes

import torch

from evomerge.kernels.native import passes
from evomerge.kernels.native.structs import (
    ArrayStruct,
    Float,
    Int,
    Long,
    MaskStruct,
    ValuesStruct,
    array_struct,
    mask_struct,
    values_struct,
)
from evomerge.kernels.operands import Mixed, Mixture


class PartStruct(ctypes.Structure):
    """``part_t``."""

    _fields_ = [
        ("model", ArrayStruct),
        ("mask", MaskStruct),
        ("weight", Float),
        ("vote", Float),
        ("share", Float),
        ("factor", Float),
    ]


class MixtureStruct(ctypes.Structure):
    """``mixture_t``."""

    _fields_ = [
        ("next", Long),
        ("numel", Long),
        ("tied", Long),
        ("signs", Long),
        ("broken", Long),
        ("out", ArrayStruct),
        ("base", ArrayStruct),
        ("parts", ctypes.POINTER(PartStruct)),
        ("n_parts", Int),
        ("elect", Int),
        ("divide", Int),
        ("counting", Int),
        ("scale", Float),
        ("tie", Float),
        ("select", ValuesStruct),
        ("selected", MaskStruct),
    ]


def mix(mixture: Mixture, out: torch.Tensor) -> Mixed:
    """See :func:`evomerge.kernels.mix`; into contiguous memory."""
    job = _run(mixture, out)
    return Mixed(not job.broken, job.tied)


def net_sign(mixture: Mixture) -> int:
    """See :func:`evomerge.kernels.net_sign`."""
    return int(_run(mixture, None).signs)


def _run(mixture: Mixture, out: torch.Tensor | None) -> MixtureStruct:
    parts = (PartStruct * len(mixture.parts))(
        *(
            PartStruct(array_struct(own.model), mask_struct(own.mask), own.weight, own.vote, own.share, own.factor)
            for own in mixture.parts
        )
    )
    job = MixtureStruct(
        numel=mixture.like.numel(),
        out=array_struct(out),
        base=array_struct(mixture.base),
        parts=parts,
        n_parts=len(parts),
        elect=mixture.elect,
        divide=mixture.divide,
        counting=mixture.tie is None,
        scale=mixture.scale,
        tie=mixture.tie or 0.0,
    )
    if mixture.select is not None:
        job.select, job.selected = values_struct(mixture.select.values), mask_struct(mixture.select.window)
    passes.run("evomerge_mix", job, job.numel)
    return job
