"""Keeps the elements of largest magnitude, over one tensor or over the whole model."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from evomerge.kernels import (
    Histogram,
    OrderStatistic,
    end_of_equal,
    histogram_bytes,
    magnitude_bits,
    stretch_of,
)
from evomerge.methods._declaration import Options, Sources, TensorContext, TensorSet
from evomerge.methods._deltas import Keep, delta_bits

# Stretches of the global order kept per model between candidates.
_REMEMBERED = 64


@dataclass(frozen=True)
class Cut:
    """Which elements of one delta are kept.

    Attributes:
        bits: Magnitude at the threshold; all above it are kept, see :func:`evomerge.kernels.magnitude_bits`.
        end: Elements equal to the threshold are kept if their index is below this.
    """

    bits: int
    end: int

    def keep(self, block: torch.Tensor, span: slice) -> torch.Tensor:
        """Sets what is not kept to zero, in place."""
        bits = magnitude_bits(block)
        if span.stop <= self.end:
            return block.mul_(bits >= self.bits)
        kept = bits > self.bits
        if span.start < self.end:
            head = slice(0, self.end - span.start)
            kept[head] = bits[head] >= self.bits
        return block.mul_(kept)


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
    """Counts the magnitudes of every delta: one :class:`~evomerge.kernels.Histogram` per model."""
    arrays: dict[str, torch.Tensor] = {}
    for number, model in enumerate(models):
        arrays |= Histogram.of(delta_bits(base, model)).arrays(str(number))
    return arrays


def prepared_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """At most 96 KiB and 8 bytes per tensor and model, 12 bytes per element of a small tensor."""
    return n_models * histogram_bytes(torch.Size(shape).numel())


class TensorTrim:
    """Trims every delta of one tensor by itself.

    Args:
        sources: The tensor, with what :func:`prepare` gave.
    """

    def __init__(self, sources: Sources) -> None:
        assert sources.base is not None
        self._base = sources.base
        self._sources = sources

    def keep(self, model: int, density: float) -> Keep:
        """Keeps the largest of this tensor."""
        delta, rule = self._sources.models[model], self._sources.options["kept"]
        histogram = Histogram.load(self._sources.prepared, str(model))
        wanted = place(density, histogram.count, rule)
        threshold = histogram.largest(
            wanted, lambda digit: stretch_of(delta_bits(self._base, delta), digit, histogram.shift)
        )
        quota = wanted - threshold.above if rule == "exact" else threshold.equal
        return cut(self._base, delta, threshold.bits, threshold.equal, quota).keep


def cut(base: torch.Tensor, model: torch.Tensor, bits: int, equal: int, quota: int) -> Cut:
    """The cut of one tensor that keeps the first ``quota`` of its ``equal`` elements at the threshold ``bits``."""
    if bits == 0 or quota >= equal:
        return Cut(bits, base.numel())
    if quota <= 0:
        return Cut(bits, 0)
    return Cut(bits, end_of_equal(delta_bits(base, model), bits, quota))


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

    def keep(self, context: TensorContext, sources: Sources, model: int, density: float) -> Keep:
        """Keeps those elements of a tensor's delta that are among the largest of the whole model."""
        assert sources.base is not None
        wanted = place(density, self._whole[model].count, self._rule)
        threshold, equal = self._threshold(model, wanted)
        before = sum(equal[name] for name in list(equal)[: list(equal).index(context.name)])
        own = equal[context.name]
        # Equal elements are kept in the order of the tensors: what earlier ones hold is taken off this one's quota.
        quota = wanted - threshold.above - before if self._rule == "exact" else own
        return cut(sources.base, sources.models[model], threshold.bits, own, quota).keep

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
            if any(part.shift and part.count for part in found.values()):
                for context, sources in self._tensors:
                    if found[context.name].shift and found[context.name].count and sources.base is not None:
                        blocks = delta_bits(sources.base, sources.models[model])
                        found[context.name] = stretch_of(blocks, digit, shift)
            self._stretches[key] = found
        self._stretches.move_to_end(key)
        while len(self._stretches) > _REMEMBERED * len(self._whole):
            self._stretches.popitem(last=False)
        return self._stretches[key]
