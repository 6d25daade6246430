"""Operands as the structs of ``csrc/types.h``, field by field."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch

from evomerge.kernels.keys import key_words
from evomerge.kernels.masks import NOTHING, BernoulliMask, Mask, Threshold, Window
from evomerge.kernels.operands import Delta, PcbScore, Sparse, Values, Variance

Int, Long, Float = ctypes.c_int32, ctypes.c_int64, ctypes.c_float
DTYPES = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}


class ArrayStruct(ctypes.Structure):
    """``array_t``."""

    _fields_ = [("data", ctypes.c_void_p), ("dtype", Int)]


class ThresholdStruct(ctypes.Structure):
    """``threshold_t``."""

    _fields_ = [("end", Long), ("bits", ctypes.c_uint32)]


class MaskStruct(ctypes.Structure):
    """``mask_t``."""

    _fields_ = [
        ("kind", Int),
        ("within", ThresholdStruct),
        ("beyond", ThresholdStruct),
        ("keys", ctypes.c_uint32 * 2),
        ("probability", Float),
        ("step", Float),
        ("rescale", Int),
        ("first", Int),
        ("stop", Int),
        ("trims", Int),
        ("ranks", ctypes.c_void_p),
    ]


class ScoreStruct(ctypes.Structure):
    """``score_t``."""

    _fields_ = [("model", Int), ("low", Float), ("high", Float), ("slope", Float)]


class ValuesStruct(ctypes.Structure):
    """``values_t``."""

    _fields_ = [
        ("kind", Int),
        ("n_models", Int),
        ("base", ArrayStruct),
        ("models", ctypes.POINTER(ArrayStruct)),
        ("score", ScoreStruct),
        ("mask", ctypes.POINTER(MaskStruct)),
    ]


def array_struct(tensor: torch.Tensor | None) -> ArrayStruct:
    """Memory of a tensor, or none."""
    if tensor is None:
        return ArrayStruct(None, 0)
    if not tensor.is_contiguous():
        raise ValueError("expected contiguous memory")
    return ArrayStruct(tensor.data_ptr(), DTYPES[tensor.dtype])


def array_structs(tensors: Sequence[torch.Tensor]) -> Any:
    """Memory of several tensors."""
    return (ArrayStruct * len(tensors))(*map(array_struct, tensors))


def mask_struct(mask: Mask | None) -> MaskStruct:
    """Sparsity mask; None keeps everything."""
    if mask is None:
        return MaskStruct(kind=0)
    if isinstance(mask, Window):
        return MaskStruct(kind=1, within=_threshold_struct(mask.within), beyond=_threshold_struct(mask.beyond))
    if isinstance(mask, BernoulliMask):
        window = mask.window or Window(NOTHING)
        return MaskStruct(
            kind=2,
            within=_threshold_struct(window.within),
            beyond=_threshold_struct(window.beyond),
            trims=mask.window is not None,
            keys=(ctypes.c_uint32 * 2)(*key_words(mask.key, 0)),
            probability=mask.probability,
            step=mask.step,
            rescale=mask.rescale,
            ranks=None if mask.ranks is None else _ranks(mask.ranks),
        )
    return MaskStruct(kind=3, first=mask.first, stop=mask.stop, ranks=_ranks(mask.ranks))


def values_struct(values: Values) -> ValuesStruct:
    """Element-wise values."""
    kind = (Delta, Variance, PcbScore, Sparse).index(type(values))
    score = score_struct(values) if isinstance(values, PcbScore) else ScoreStruct()
    mask = ctypes.pointer(mask_struct(values.mask)) if isinstance(values, Sparse) else None
    return ValuesStruct(kind, len(values.models), array_struct(values.base), array_structs(values.models), score, mask)


def score_struct(score: PcbScore) -> ScoreStruct:
    """Scored model, limits and slope of a score."""
    return ScoreStruct(score.model, *score.limits, score.slope)


def _threshold_struct(threshold: Threshold) -> ThresholdStruct:
    return ThresholdStruct(threshold.end, threshold.bits)


def _ranks(ranks: torch.Tensor) -> int:
    if ranks.dtype != torch.uint16 or ranks.device.type != "cpu" or not ranks.is_contiguous():
        raise ValueError("expected ranks as contiguous uint16 on the CPU")
    return ranks.data_ptr()
