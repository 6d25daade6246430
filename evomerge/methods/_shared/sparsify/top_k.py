"""Keeps the elements of largest magnitude of each tensor's deltas (the trim of TIES)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from evomerge.kernels import (
    Bin,
    ChunkCounts,
    Delta,
    Histogram,
    Threshold,
    Values,
    bin_holding,
    chunk_counts_bytes,
    chunk_counts_of,
    elements_at,
    flat,
    histogram_bytes,
    histogram_of,
)
from evomerge.methods._shared.inputs import Options, TensorContext, TensorSources


def share_of(density: float, count: int, options: Options) -> int:
    """Number of elements, of ``count``, that a density is: a whole number by the option ``rounding``."""
    return count - int((1 - density) * count) if options.get("rounding") == "up" else int(density * count)


def threshold_rank(density: float, count: int, options: Options) -> int:
    """Rank of the threshold among ``count`` magnitudes, 1 being the largest.

    ``exact`` and ``equals`` keep as many elements as the density is, at least one. ``threshold`` keeps all elements
    from the next smaller one up, as the code of Yadav et al. 2023 does: one more and its equals.
    """
    k = share_of(density, count, options)
    return min(k + 1 if options["kept"] == "threshold" else max(k, 1), count)


def prepare_histograms(
    context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """Histogram of every delta's magnitudes; frequent magnitudes are also counted chunk by chunk."""
    arrays: dict[str, torch.Tensor] = {}
    for number, model in enumerate(models):
        delta = Delta(flat(base), flat(model))
        histogram = histogram_of(delta)
        arrays |= histogram.arrays(str(number))
        if _counts_chunks(options):
            arrays |= chunk_counts_of(delta, histogram).arrays(str(number))
    return arrays


def histograms_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """Per model at most 12 bytes per bin (:func:`evomerge.kernels.max_bins`), and 4 KiB per 65536 elements."""
    numel = torch.Size(shape).numel()
    return n_models * (histogram_bytes(numel) + (chunk_counts_bytes(numel) if _counts_chunks(options) else 0))


def _counts_chunks(options: Options) -> bool:
    """Whether single elements of a tensor are located: the last of equal ones that is kept."""
    return options["scope"] == "tensor" and options.get("kept", "exact") == "exact"


def prepared_histogram(sources: TensorSources, name: str) -> Histogram:
    """The prepared histogram of this name, such as a model's number."""
    return Histogram.load(sources.prepared, name)


def chunks_of(sources: TensorSources, model: str) -> ChunkCounts | None:
    """The prepared chunk counts of one delta, if there are any."""
    return ChunkCounts.load(sources.prepared, model) if _counts_chunks(sources.options) else None


@dataclass(frozen=True)
class TopK:
    """The largest elements of one tensor.

    Attributes:
        values: The tensor's values, such as a delta.
        histogram: Histogram of their magnitudes.
        k: Rank of the smallest of them.
        chunks: Chunk counts of frequent magnitudes, if there are any.
    """

    values: Values
    histogram: Histogram
    k: int
    chunks: ChunkCounts | None = None


def thresholds_of_tensor(largest: Sequence[TopK], rule: str) -> list[Threshold]:
    """Top-k thresholds of values that have the same base; one pass over them at most."""
    held = [bin_holding(own.values, own.histogram, own.k, own.chunks) for own in largest]
    asked = [number for number, (own, rank) in enumerate(held) if not _is_whole(own, rank, rule)]
    elements = elements_at([held[number][0] for number in asked], [held[number][1] for number in asked])
    thresholds = [Threshold(own.bin_key << own.shift, own.values.base.numel()) for own, _ in held]
    for number, element in zip(asked, elements, strict=True):
        end = element.index + 1 if rule == "exact" else thresholds[number].end
        thresholds[number] = Threshold(element.bits, end)
    return thresholds


def _is_whole(own: Bin, rank: int, rule: str) -> bool:
    """Whether a threshold at this rank takes in the whole bin; zeros may as well be kept."""
    if own.shift == 0:
        return rule != "exact" or own.bin_key == 0 or rank == own.count
    return rank == own.count
