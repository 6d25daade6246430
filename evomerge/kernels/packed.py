"""Tensors, what is kept of them and what is computed from them, as the structs that the C files read."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch

from evomerge.kernels import structs
from evomerge.kernels.noise import key_words
from evomerge.kernels.selection import Chance, Cut, Keep, Window
from evomerge.kernels.values import Delta, Score, Spread, Values

DTYPES = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}


def array_struct(tensor: torch.Tensor | None) -> structs.ArrayStruct:
    """Memory of a tensor, or none."""
    if tensor is None:
        return structs.ArrayStruct(None, 0)
    if not tensor.is_contiguous():
        raise ValueError("expected contiguous memory")
    return structs.ArrayStruct(tensor.data_ptr(), DTYPES[tensor.dtype])


def array_structs(tensors: Sequence[torch.Tensor]) -> Any:
    """Memory of several tensors."""
    return (structs.ArrayStruct * len(tensors))(*map(array_struct, tensors))


def cut_struct(cut: Cut) -> structs.CutStruct:
    """A cut."""
    return structs.CutStruct(cut.end, cut.bits)


def keep_struct(keep: Keep | None) -> structs.KeepStruct:
    """What is kept of a delta; None is all."""
    if keep is None:
        return structs.KeepStruct(kind=0)
    if isinstance(keep, Window):
        return structs.KeepStruct(kind=1, within=cut_struct(keep.within), beyond=cut_struct(keep.beyond))
    if isinstance(keep, Chance):
        ranks = None if keep.ranks is None else _ranks(keep.ranks)
        keys = (ctypes.c_uint32 * 2)(*key_words(keep.key, 0))
        return structs.KeepStruct(kind=2, keys=keys, low=keep.low, step=keep.step, own=keep.own, ranks=ranks)
    return structs.KeepStruct(kind=3, first=keep.first, stop=keep.stop, ranks=_ranks(keep.ranks))


def _ranks(ranks: torch.Tensor) -> int:
    if ranks.dtype != torch.uint16 or ranks.device.type != "cpu" or not ranks.is_contiguous():
        raise ValueError("expected ranks as contiguous uint16 on the CPU")
    return ranks.data_ptr()


def values_struct(values: Values) -> structs.ValuesStruct:
    """Numbers computed from tensors."""
    kind = (Delta, Spread, Score).index(type(values))
    score = score_struct(values) if isinstance(values, Score) else structs.ScoreStruct()
    return structs.ValuesStruct(
        kind, len(values.models), array_struct(values.base), array_structs(values.models), score
    )


def score_struct(score: Score) -> structs.ScoreStruct:
    """A score of one delta."""
    return structs.ScoreStruct(score.model, *score.limits, score.stretch)
