"""Binding of ``csrc/pcb.c``."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch

from evomerge.kernels.native import passes
from evomerge.kernels.native.structs import (
    ArrayStruct,
    Float,
    Int,
    Long,
    ScoreStruct,
    array_struct,
    array_structs,
    score_struct,
)
from evomerge.kernels.operands import PcbTerm


class PcbTermStruct(ctypes.Structure):
    """``pcb_term_t``."""

    _fields_ = [("score", ScoreStruct), ("weight", Float), ("least", Float), ("slope", Float)]


class PcbStruct(ctypes.Structure):
    """``pcb_t``."""

    _fields_ = [
        ("next", Long),
        ("numel", Long),
        ("broken", Long),
        ("out", ArrayStruct),
        ("base", ArrayStruct),
        ("models", ctypes.POINTER(ArrayStruct)),
        ("terms", ctypes.POINTER(PcbTermStruct)),
        ("n_models", Int),
        ("n_terms", Int),
        ("scale", Float),
    ]


def pcb_merge(base: torch.Tensor, terms: Sequence[PcbTerm], scale: float, out: torch.Tensor) -> bool:
    """See :func:`evomerge.kernels.pcb_merge`; into contiguous memory."""
    models = terms[0].score.models if terms else ()
    averaged = [PcbTermStruct(score_struct(term.score), term.weight, term.least, term.slope) for term in terms]
    job = PcbStruct(
        numel=base.numel(),
        out=array_struct(out),
        base=array_struct(base),
        models=array_structs(models),
        terms=(PcbTermStruct * len(averaged))(*averaged),
        n_models=len(models),
        n_terms=len(averaged),
        scale=scale,
    )
    passes.run("evomerge_pcb", job, job.numel)
    return not job.broken
