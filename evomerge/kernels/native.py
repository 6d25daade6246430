"""Calls the compiled passes of ``source`` on tensors in the CPU's memory.

Each function here computes what a torch form defines elsewhere in this folder, to the last bit; those forms call them
where :func:`serves` says so. Work is divided among ``torch.get_num_threads()`` threads, on which no result depends.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from evomerge.kernels import compiled, structs
from evomerge.kernels.blocks import CHUNK, flat
from evomerge.kernels.packed import DTYPES, array_struct, array_structs, keep_struct, score_struct, values_struct
from evomerge.kernels.selection import Keep, Selection
from evomerge.kernels.values import Delta, Score, Spread, Values

if TYPE_CHECKING:
    from evomerge.kernels.balance import Rival
    from evomerge.kernels.mixture import Mixture
    from evomerge.kernels.places import Stretch

BLOCK = 1 << 10
# Counters of all threads that count a stretch, four of 8 bytes per magnitude.
_COUNTERS = 1 << 20


def serves(*tensors: torch.Tensor) -> bool:
    """Whether the compiled kernels are in use and take these tensors: on the CPU, of 16 or 32 bits per element."""
    if compiled.kernels_library() is None:
        return False
    return all(t.device.type == "cpu" and t.dtype in DTYPES and t.numel() <= 1 << 32 for t in tensors)


def serves_values(values: Values) -> bool:
    """Whether the compiled kernels compute these values from these tensors."""
    return isinstance(values, Delta | Spread | Score) and serves(values.base, *values.models)


def mix(mixture: Mixture, out: torch.Tensor | None) -> tuple[int, int, bool]:
    """Mixes into contiguous memory, or only counts.

    Returns:
        How many elements are tied, and the sum of the elected signs; both 0 unless ``mixture.tie`` is None. And whether
        all that was written is finite.
    """
    parts = (structs.PartStruct * len(mixture.parts))(
        *(
            structs.PartStruct(
                array_struct(part.model), keep_struct(part.keep), part.weight, part.vote, part.share, part.factor
            )
            for part in mixture.parts
        )
    )
    like = mixture.parts[0].model if mixture.base is None else mixture.base
    job = structs.MixtureStruct(
        numel=like.numel(),
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
        job.select, job.selected = values_struct(mixture.select.values), keep_struct(mixture.select.keep)
    _run("evomerge_mix", job, like.numel())
    return job.tied, job.signs, not job.broken


def balance(base: torch.Tensor, rivals: Sequence[Rival], scale: float, out: torch.Tensor) -> bool:
    """See :func:`evomerge.kernels.balance.balance`; into contiguous memory. Whether all of it is finite."""
    models = rivals[0].score.models if rivals else ()
    averaged = [
        structs.RivalStruct(score_struct(rival.score), rival.weight, rival.least, rival.stretch) for rival in rivals
    ]
    job = structs.BalanceStruct(
        numel=base.numel(),
        out=array_struct(out),
        base=array_struct(base),
        models=array_structs(models),
        rivals=(structs.RivalStruct * len(averaged))(*averaged),
        n_models=len(models),
        n_rivals=len(averaged),
        scale=scale,
    )
    _run("evomerge_balance", job, base.numel())
    return not job.broken


def absolute_sums(values: Values, keep: Keep | None) -> list[torch.Tensor]:
    """The folded sums of absolute values, see :mod:`evomerge.kernels.sums`."""
    return _sums(structs.SumsStruct(numel=values.base.numel(), of=values_struct(values), keep=keep_struct(keep)))


def square_sums(deltas: Spread, select: Selection | None) -> torch.Tensor:
    """The folded sums of the squares of each delta, shape (models, runs)."""
    numel = deltas.base.numel()
    found = torch.empty(len(deltas.models), -(-numel // BLOCK), dtype=torch.float64)
    job = structs.SquaresStruct(numel=numel, sums=found.data_ptr(), of=values_struct(deltas))
    if select is not None:
        job.select, job.selected = values_struct(select.values), keep_struct(select.keep)
    _run("evomerge_squares", job, numel)
    return found


def dots(left: torch.Tensor, right: torch.Tensor) -> list[torch.Tensor]:
    """The folded sums of products."""
    left, right = flat(left), flat(right)
    return _sums(structs.SumsStruct(numel=left.numel(), left=array_struct(left), right=array_struct(right)))


def _sums(job: structs.SumsStruct) -> list[torch.Tensor]:
    found = torch.empty(-(-job.numel // BLOCK), dtype=torch.float64)
    job.sums = found.data_ptr()
    _run("evomerge_sums", job, job.numel)
    return [found]


def histogram(values: Values, limit: int) -> list[tuple[int, torch.Tensor, torch.Tensor]]:
    """Shift, digits and counts, in no order, from every thread that took part."""
    slots = 1 << (4 * limit - 1).bit_length()
    jobs, found = [], []
    following, of = structs.Long(0), values_struct(values)
    for _ in range(_threads(values.base.numel())):
        digits = torch.full((slots,), -1, dtype=torch.int32)
        counts = torch.zeros(slots, dtype=torch.int64)
        found.append((digits, counts))
        jobs.append(
            structs.HistogramStruct(
                next=ctypes.pointer(following),
                numel=values.base.numel(),
                of=of,
                limit=limit,
                slots=slots,
                digits=digits.data_ptr(),
                counts=counts.data_ptr(),
            )
        )
    _run_each("evomerge_histogram", jobs)
    return [
        (job.shift, digits[counts > 0], counts[counts > 0]) for job, (digits, counts) in zip(jobs, found, strict=True)
    ]


def stretch(values: Values, digit: int, shift: int) -> torch.Tensor:
    """How often each magnitude of one stretch occurs; int64, shape ``(2**shift,)``."""
    following, of = structs.Long(0), values_struct(values)
    threads = max(1, min(_threads(values.base.numel()), _COUNTERS >> shift))
    counts = torch.zeros(threads, 1 << shift, 4, dtype=torch.int64)
    jobs = [
        structs.StretchStruct(
            next=ctypes.pointer(following),
            numel=values.base.numel(),
            of=of,
            first=digit << shift,
            length=1 << shift,
            counts=own.data_ptr(),
        )
        for own in counts
    ]
    _run_each("evomerge_stretch", jobs)
    return counts.sum(dim=(0, 2))


def places(stretches: Sequence[Stretch]) -> list[torch.Tensor]:
    """Keys of the elements of stretches of values that have the same base, by index."""
    numel = stretches[0].values.base.numel()
    rooms = [stretch.count for stretch in stretches]
    keys = torch.empty(sum(rooms), dtype=torch.int64).split(rooms)
    tables = torch.zeros(len(stretches), 2, -(-numel // CHUNK), dtype=torch.int64)
    jobs = (structs.StretchPlacesStruct * len(stretches))()
    for job, stretch, own, table in zip(jobs, stretches, keys, tables, strict=True):
        job.of, job.first, job.length = (
            values_struct(stretch.values),
            stretch.digit << stretch.shift,
            1 << stretch.shift,
        )
        job.counts, job.starts = table[0].data_ptr(), table[1].data_ptr()
        job.keys, job.room = own.data_ptr(), stretch.count
    _run("evomerge_places", structs.PlacesStruct(numel=numel, stretches=jobs, n_stretches=len(jobs)), numel)
    for job, own in zip(jobs, keys, strict=True):
        if job.found != own.numel():
            raise ValueError(f"expected {own.numel()} magnitudes in the stretch, there are {job.found}")
    return [_by_chunk(own, *table.tolist()) for own, table in zip(keys, tables, strict=True)]


def _by_chunk(keys: torch.Tensor, counts: Sequence[int], starts: Sequence[int]) -> torch.Tensor:
    """Keys in the order of the chunks, from wherever each chunk's were put."""
    pieces = [keys[start : start + count] for start, count in zip(starts, counts, strict=True) if count]
    return torch.cat(pieces) if len(pieces) > 1 else keys


def chunk_counts(values: Values, digits: torch.Tensor) -> torch.Tensor:
    """How often each of these magnitudes occurs in every chunk; int32, shape (digits, chunks)."""
    numel = values.base.numel()
    counts = torch.zeros(digits.numel(), -(-numel // CHUNK), dtype=torch.int32)
    job = structs.ChunksStruct(
        numel=numel,
        of=values_struct(values),
        digits=digits.data_ptr(),
        n_digits=digits.numel(),
        counts=counts.data_ptr(),
    )
    _run("evomerge_chunks", job, numel)
    return counts


def end_of_quota(values: Values, bits: int, quota: int, counts: torch.Tensor) -> int:
    """The index behind the ``quota``-th element of these bits, of which there are ``counts`` per chunk."""
    upto = counts.numpy().cumsum(dtype="int64")
    chunk = int(upto.searchsorted(quota))
    before = int(upto[chunk - 1]) if chunk else 0
    job = structs.EqualsStruct(numel=values.base.numel(), of=values_struct(values), bits=bits)
    end = int(_function("evomerge_end_in_chunk")(ctypes.byref(job), structs.Long(chunk), structs.Long(quota - before)))
    if end < 0:
        raise ValueError(f"expected {quota - before} magnitudes in chunk {chunk}, there are fewer")
    return end


def end_of_equal(values: Values, bits: int, quota: int) -> int:
    """See :func:`evomerge.kernels.histogram.end_of_equal`; ``quota`` is at least 1."""
    numel = values.base.numel()
    counts = torch.zeros(-(-numel // CHUNK), dtype=torch.int64)
    job = structs.EqualsStruct(numel=numel, quota=quota, of=values_struct(values), counts=counts.data_ptr(), bits=bits)
    _run("evomerge_equals", job, numel)
    if job.found < quota:
        return numel
    return end_of_quota(values, bits, quota, counts)


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether all elements are finite."""
    tensor = flat(tensor)
    job = structs.FiniteStruct(numel=tensor.numel(), of=array_struct(tensor))
    _run("evomerge_finite", job, tensor.numel())
    return not job.broken


def row_ranks(delta: Delta, columns: int) -> torch.Tensor:
    """See :func:`evomerge.kernels.ranks.row_ranks`; flat."""
    base, model = flat(delta.base), flat(delta.model)
    ranks = torch.empty(base.numel(), dtype=torch.uint16)
    job = structs.RanksStruct(
        rows=base.numel() // columns,
        columns=columns,
        base=array_struct(base),
        model=array_struct(model),
        ranks=ranks.data_ptr(),
    )
    _run("evomerge_ranks", job, base.numel())
    return ranks


def _threads(numel: int) -> int:
    return max(1, min(torch.get_num_threads(), -(-numel // CHUNK)))


def _run(name: str, job: ctypes.Structure, numel: int) -> None:
    """Calls a pass from as many threads as there are chunks for."""
    _run_each(name, [job] * _threads(numel))


def _run_each(name: str, jobs: Sequence[ctypes.Structure]) -> None:
    addresses = (ctypes.c_void_p * len(jobs))(*map(ctypes.addressof, jobs))
    _function("evomerge_run")(_address(name), addresses, len(jobs))


@functools.cache
def _function(name: str) -> Any:
    library = compiled.kernels_library()
    assert library is not None
    function = getattr(library, name)
    function.restype = structs.Long if name == "evomerge_end_in_chunk" else None
    return function


@functools.cache
def _address(name: str) -> ctypes.c_void_p:
    return ctypes.cast(_function(name), ctypes.c_void_p)
