"""Binding of ``csrc/histogram.c``."""

from __future__ import annotations

import ctypes

import torch

from evomerge.kernels.histogram import Histogram, sum_by_key
from evomerge.kernels.native import passes
from evomerge.kernels.native.structs import Int, Long, ValuesStruct, values_struct
from evomerge.kernels.operands import Values

# Counters of all threads that count a bin, four of 8 bytes per magnitude.
_COUNTERS = 1 << 20


class HistogramStruct(ctypes.Structure):
    """``histogram_t``."""

    _fields_ = [
        ("next", ctypes.POINTER(Long)),
        ("numel", Long),
        ("of", ValuesStruct),
        ("limit", Int),
        ("shift", Int),
        ("slots", Int),
        ("used", Int),
        ("bin_keys", ctypes.c_void_p),
        ("counts", ctypes.c_void_p),
    ]


class BinCountsStruct(ctypes.Structure):
    """``bin_counts_t``."""

    _fields_ = [
        ("next", ctypes.POINTER(Long)),
        ("numel", Long),
        ("of", ValuesStruct),
        ("first", ctypes.c_uint32),
        ("length", ctypes.c_uint32),
        ("counts", ctypes.c_void_p),
    ]


class ChunkCountsStruct(ctypes.Structure):
    """``chunk_counts_t``."""

    _fields_ = [
        ("next", Long),
        ("numel", Long),
        ("of", ValuesStruct),
        ("bin_keys", ctypes.c_void_p),
        ("n_bin_keys", Int),
        ("counts", ctypes.c_void_p),
    ]


def histogram_of(values: Values, limit: int) -> Histogram:
    """See :func:`evomerge.kernels.histogram_of`."""
    slots = 1 << (4 * limit - 1).bit_length()
    jobs, tables = [], []
    following, of = Long(0), values_struct(values)
    for _ in range(passes.threads_for(values.base.numel())):
        bin_keys = torch.full((slots,), -1, dtype=torch.int32)
        counts = torch.zeros(slots, dtype=torch.int64)
        tables.append((bin_keys, counts))
        jobs.append(
            HistogramStruct(
                next=ctypes.pointer(following),
                numel=values.base.numel(),
                of=of,
                limit=limit,
                slots=slots,
                bin_keys=bin_keys.data_ptr(),
                counts=counts.data_ptr(),
            )
        )
    passes.run_each("evomerge_histogram", jobs)
    parts = (
        Histogram.counted(job.shift, *sum_by_key(bin_keys[counts > 0], counts[counts > 0]))
        for job, (bin_keys, counts) in zip(jobs, tables, strict=True)
    )
    return Histogram.union(parts).coarsened(limit)


def bin_counts(values: Values, bin_key: int, shift: int) -> torch.Tensor:
    """Occurrences of each magnitude of one bin; int64, shape ``(2**shift,)``."""
    following, of = Long(0), values_struct(values)
    threads = max(1, min(passes.threads_for(values.base.numel()), _COUNTERS >> shift))
    counts = torch.zeros(threads, 1 << shift, 4, dtype=torch.int64)
    jobs = [
        BinCountsStruct(
            next=ctypes.pointer(following),
            numel=values.base.numel(),
            of=of,
            first=bin_key << shift,
            length=1 << shift,
            counts=own.data_ptr(),
        )
        for own in counts
    ]
    passes.run_each("evomerge_bin_counts", jobs)
    return counts.sum(dim=(0, 2))


def chunk_counts(values: Values, bin_keys: torch.Tensor) -> torch.Tensor:
    """Occurrences of each of these magnitudes, ascending and at least one, in every chunk; int32, (keys, chunks)."""
    numel = values.base.numel()
    counts = torch.zeros(bin_keys.numel(), passes.chunks_of(numel), dtype=torch.int32)
    job = ChunkCountsStruct(
        numel=numel,
        of=values_struct(values),
        bin_keys=bin_keys.data_ptr(),
        n_bin_keys=bin_keys.numel(),
        counts=counts.data_ptr(),
    )
    passes.run("evomerge_chunk_counts", job, numel)
    return counts
