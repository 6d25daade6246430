"""Binding of ``csrc/rank_lookup.c``."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch

from evomerge.kernels.native import passes
from evomerge.kernels.native.structs import Int, Long, ValuesStruct, values_struct
from evomerge.kernels.operands import Bin, Values


class EqualsStruct(ctypes.Structure):
    """``equals_t``."""

    _fields_ = [
        ("next", Long),
        ("numel", Long),
        ("found", Long),
        ("quota", Long),
        ("of", ValuesStruct),
        ("counts", ctypes.c_void_p),
        ("bits", ctypes.c_uint32),
    ]


class BinElementsStruct(ctypes.Structure):
    """``bin_elements_t``."""

    _fields_ = [
        ("of", ValuesStruct),
        ("first", ctypes.c_uint32),
        ("length", ctypes.c_uint32),
        ("room", Long),
        ("found", Long),
        ("keys", ctypes.c_void_p),
        ("counts", ctypes.c_void_p),
        ("starts", ctypes.c_void_p),
    ]


class SortKeysStruct(ctypes.Structure):
    """``sort_keys_t``."""

    _fields_ = [
        ("next", Long),
        ("numel", Long),
        ("bins", ctypes.POINTER(BinElementsStruct)),
        ("n_bins", Int),
    ]


def end_of_equal(values: Values, bits: int, quota: int) -> int:
    """See :func:`evomerge.kernels.end_of_equal`; ``quota`` is at least 1."""
    numel = values.base.numel()
    counts = torch.zeros(passes.chunks_of(numel), dtype=torch.int64)
    job = EqualsStruct(numel=numel, quota=quota, of=values_struct(values), counts=counts.data_ptr(), bits=bits)
    passes.run("evomerge_equals", job, numel)
    if job.found < quota:
        return numel
    return end_by_chunks(values, bits, quota, counts)


def end_by_chunks(values: Values, bits: int, quota: int, counts: torch.Tensor) -> int:
    """The index behind the ``quota``-th element of these bits, of which there are ``counts`` per chunk."""
    cumulative = counts.numpy().cumsum(dtype="int64")
    chunk = int(cumulative.searchsorted(quota))
    before = int(cumulative[chunk - 1]) if chunk else 0
    job = EqualsStruct(numel=values.base.numel(), of=values_struct(values), bits=bits)
    end_in_chunk = passes.function("evomerge_end_in_chunk", Long)
    end = int(end_in_chunk(ctypes.byref(job), Long(chunk), Long(quota - before)))
    if end < 0:
        raise ValueError(f"expected {quota - before} magnitudes in chunk {chunk}, there are fewer")
    return end


def sort_keys(bins: Sequence[Bin]) -> list[torch.Tensor]:
    """Keys of the elements of each bin, by index: magnitude * 2**32 + index; int64."""
    numel = bins[0].values.base.numel()
    rooms = [own.count for own in bins]
    keys = torch.empty(sum(rooms), dtype=torch.int64).split(rooms)
    tables = torch.zeros(len(bins), 2, passes.chunks_of(numel), dtype=torch.int64)
    jobs = (BinElementsStruct * len(bins))()
    for job, own, found, table in zip(jobs, bins, keys, tables, strict=True):
        job.of, job.first, job.length = values_struct(own.values), own.bin_key << own.shift, 1 << own.shift
        job.counts, job.starts = table[0].data_ptr(), table[1].data_ptr()
        job.keys, job.room = found.data_ptr(), own.count
    passes.run("evomerge_sort_keys", SortKeysStruct(numel=numel, bins=jobs, n_bins=len(jobs)), numel)
    for job, found in zip(jobs, keys, strict=True):
        if job.found != found.numel():
            raise ValueError(f"expected {found.numel()} magnitudes in the bin, there are {job.found}")
    return [_by_chunk(found, *table.tolist()) for found, table in zip(keys, tables, strict=True)]


def _by_chunk(keys: torch.Tensor, counts: Sequence[int], starts: Sequence[int]) -> torch.Tensor:
    """Keys in the order of the chunks, from wherever each chunk's were put."""
    pieces = [keys[start : start + count] for start, count in zip(starts, counts, strict=True) if count]
    return torch.cat(pieces) if len(pieces) > 1 else keys
