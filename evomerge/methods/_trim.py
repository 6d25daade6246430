"""Keeps the elements of largest magnitude, over one tensor or over the whole model."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from evomerge.kernels import (
    ChunkCounts,
    Cut,
    Delta,
    Histogram,
    OrderStatistic,
    Stretch,
    Values,
    chunk_counts_bytes,
    elements_at,
    end_of_equal,
    flat,
    histogram_bytes,
    stretch_of,
)
from evomerge.methods._declaration import Options, Sources, TensorContext, TensorSet
from evomerge.methods._deltas import delta_of

# Stretches of the global order kept per model between candidates.
_REMEMBERED = 64


def place(density: float, count: int, rule: str) -> int:
    """The place, from the largest down, of the threshold among ``count`` magnitudes.

    ``exact`` keeps int(density * count) elements, at least one. ``threshold`` keeps all elements from the next smaller
    one up, as the code of Yadav et al. 2023 does: one more and what equals it.
    """
    largest = int(density * count)
    return min(max(largest, 1) if rule == "exact" else largest + 1, count)


def prepare(
    context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """Counts the magnitudes of every delta, and those that are frequent chunk by chunk."""
    arrays: dict[str, torch.Tensor] = {}
    for number, model in enumerate(models):
        delta = Delta(flat(base), flat(model))
        histogram = Histogram.of(delta)
        arrays |= histogram.arrays(str(number))
        if _counts_chunks(options):
            arrays |= ChunkCounts.of(delta, histogram).arrays(str(number))
    return arrays


def _counts_chunks(options: Options) -> bool:
    """Whether single elements of a tensor are looked for: the last that is kept of equal ones."""
    return options["scope"] == "tensor" and options.get("kept", "exact") == "exact"


def prepared_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """Per model at most 12 bytes per stretch (:func:`evomerge.kernels.stretches`), and 4 KiB per 65536 elements."""
    numel = torch.Size(shape).numel()
    return n_models * (histogram_bytes(numel) + (chunk_counts_bytes(numel) if _counts_chunks(options) else 0))


@dataclass(frozen=True)
class Largest:
    """The largest elements of one tensor.

    Attributes:
        values: The tensor's values, such as a delta.
        histogram: Of their magnitudes.
        wanted: Down to which place.
        chunks: Where frequent magnitudes are, if that was counted.
    """

    values: Values
    histogram: Histogram
    wanted: int
    chunks: ChunkCounts | None = None


def cuts_of_tensor(largest: Sequence[Largest], rule: str) -> list[Cut]:
    """The cuts of the largest elements, of values that have the same base; one pass over them at most."""
    held = [Stretch.holding(own.values, own.histogram, own.wanted, own.chunks) for own in largest]
    asked = [number for number, (stretch, place) in enumerate(held) if not _is_whole(stretch, place, rule)]
    elements = elements_at([held[number][0] for number in asked], [held[number][1] for number in asked])
    cuts = [Cut(stretch.digit << stretch.shift, stretch.values.base.numel()) for stretch, _ in held]
    for number, element in zip(asked, elements, strict=True):
        end = element.index + 1 if rule == "exact" else cuts[number].end
        cuts[number] = Cut(element.bits, end)
    return cuts


def _is_whole(stretch: Stretch, place: int, rule: str) -> bool:
    """Whether a cut at this place takes in the whole stretch; zeros may as well be kept."""
    if stretch.shift == 0:
        return rule != "exact" or stretch.digit == 0 or place == stretch.count
    return place == stretch.count


def cut(values: Values, bits: int, equal: int, quota: int) -> Cut:
    """The cut of one tensor that holds the first ``quota`` of its ``equal`` elements at the threshold ``bits``."""
    if bits == 0 or quota >= equal:
        return Cut(bits, values.base.numel())
    return Cut(bits, end_of_equal(values, bits, quota))


def magnitudes_of(sources: Sources, model: str) -> Histogram:
    """The prepared histogram of one delta."""
    return Histogram.load(sources.prepared, model)


def chunks_of(sources: Sources, model: str) -> ChunkCounts | None:
    """The prepared chunk counts of one delta, if there are any."""
    return ChunkCounts.load(sources.prepared, model) if _counts_chunks(sources.options) else None


class ModelTrim:
    """Trims deltas by the thresholds of the whole model.

    Where the histogram of the whole model is too coarse for a threshold, one stretch of it is counted exactly, which
    takes a pass over those tensors whose own histograms are coarse.

    Args:
        tensors: All tensors of the merge, each stored tensor once; iterated now and again later.
        rule: ``exact`` or ``threshold``, see :func:`place`.
    """

    def __init__(self, tensors: TensorSet, rule: str) -> None:
        self._tensors = tensors
        self._rule = rule
        self._own: dict[str, list[Histogram]] = {
            context.name: [Histogram.load(sources.prepared, str(i)) for i in range(len(sources.models))]
            for context, sources in tensors
        }
        self._whole = [Histogram.union(parts) for parts in zip(*self._own.values(), strict=True)]
        self._stretches: OrderedDict[tuple[int, int], dict[str, Histogram]] = OrderedDict()

    def cut(self, context: TensorContext, sources: Sources, model: int, density: float) -> Cut:
        """The cut of those elements of a tensor's delta that are among the largest of the whole model."""
        wanted = place(density, self._whole[model].count, self._rule)
        threshold, equal = self._threshold(model, wanted)
        before = sum(equal[name] for name in list(equal)[: list(equal).index(context.name)])
        own = equal[context.name]
        # Equal elements are kept in the order of the tensors: what earlier ones hold is taken off this one's quota.
        quota = wanted - threshold.above - before if self._rule == "exact" else own
        return cut(delta_of(sources, model), threshold.bits, own, quota)

    def _threshold(self, model: int, wanted: int) -> tuple[OrderStatistic, dict[str, int]]:
        """The threshold, and how many elements of each tensor equal it."""
        whole = self._whole[model]
        found = whole.largest(wanted, lambda digit: Histogram.union(self._stretch(model, digit).values()))
        parts = self._stretch(model, found.bits >> whole.shift)
        return found, {name: part.equal(found.bits) for name, part in parts.items()}

    def _stretch(self, model: int, digit: int) -> dict[str, Histogram]:
        """One stretch of the whole model's magnitudes, counted exactly for every tensor."""
        key, shift = (model, digit), self._whole[model].shift
        if key not in self._stretches:
            found = {name: own[model].stretch(digit, shift) for name, own in self._own.items()}
            if any(part.shift for part in found.values()):
                for context, sources in self._tensors:
                    if found[context.name].shift:
                        found[context.name] = stretch_of(delta_of(sources, model), digit, shift)
            self._stretches[key] = found
        self._stretches.move_to_end(key)
        while len(self._stretches) > _REMEMBERED * len(self._whole):
            self._stretches.popitem(last=False)
        return self._stretches[key]
