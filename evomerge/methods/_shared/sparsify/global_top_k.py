"""Keeps the elements of largest magnitude of each model's deltas over all tensors."""

from __future__ import annotations

from collections import OrderedDict

from evomerge.kernels import Histogram, OrderStatistic, Threshold, Values, bin_histogram, end_of_equal
from evomerge.methods._shared.inputs import Options, TensorContext, TensorSet, TensorSources, by_model
from evomerge.methods._shared.sparsify.top_k import threshold_rank
from evomerge.methods._shared.task_vector import delta_of

# Bins of the whole model's histogram that are kept per model between candidates.
_REMEMBERED = 64


class GlobalTopK:
    """Top-k thresholds of whole models.

    Where the histogram of the whole model is too coarse for a threshold, one of its bins is counted exactly, in a pass
    over those tensors whose own histograms are coarse.

    Args:
        tensors: All tensors of the merge, each stored tensor once; iterated now and again later.
        options: ``kept`` and ``rounding``, see :func:`threshold_rank`.

    Raises:
        InputError: If tensors are merged from different numbers of models.
    """

    def __init__(self, tensors: TensorSet, options: Options) -> None:
        self._tensors = tensors
        self._options = options
        self._own: dict[str, list[Histogram]] = {
            context.name: [Histogram.load(sources.prepared, str(i)) for i in range(len(sources.models))]
            for context, sources in tensors
        }
        self._whole = [Histogram.union(parts) for parts in by_model(self._own.values())]
        self._bins: OrderedDict[tuple[int, int], dict[str, Histogram]] = OrderedDict()

    def threshold(self, context: TensorContext, sources: TensorSources, model: int, density: float) -> Threshold:
        """The threshold of those elements of a tensor's delta that are among the largest of the whole model."""
        k = threshold_rank(density, self._whole[model].count, self._options)
        found, equal = self._find(model, k)
        before = sum(equal[name] for name in list(equal)[: list(equal).index(context.name)])
        own = equal[context.name]
        # Equal elements are kept in the order of the tensors: those of earlier tensors are taken off this one's quota.
        quota = k - found.above - before if self._options["kept"] == "exact" else own
        return _threshold(delta_of(sources, model), found.bits, own, quota)

    def _find(self, model: int, k: int) -> tuple[OrderStatistic, dict[str, int]]:
        """The k-th largest magnitude, and the number of elements of each tensor that equal it."""
        whole = self._whole[model]
        found = whole.largest(k, lambda bin_key: Histogram.union(self._bin(model, bin_key).values()))
        parts = self._bin(model, found.bits >> whole.shift)
        return found, {name: part.equal(found.bits) for name, part in parts.items()}

    def _bin(self, model: int, bin_key: int) -> dict[str, Histogram]:
        """One bin of the whole model's magnitudes, counted exactly for every tensor."""
        key, shift = (model, bin_key), self._whole[model].shift
        if key not in self._bins:
            found = {name: own[model].within(bin_key, shift) for name, own in self._own.items()}
            if any(part.shift for part in found.values()):
                for context, sources in self._tensors:
                    if found[context.name].shift:
                        found[context.name] = bin_histogram(delta_of(sources, model), bin_key, shift)
            self._bins[key] = found
        self._bins.move_to_end(key)
        while len(self._bins) > _REMEMBERED * len(self._whole):
            self._bins.popitem(last=False)
        return self._bins[key]


def _threshold(values: Values, bits: int, equal: int, quota: int) -> Threshold:
    """The threshold of one tensor that admits the first ``quota`` of its ``equal`` elements at ``bits``."""
    if bits == 0 or quota >= equal:
        return Threshold(bits, values.base.numel())
    return Threshold(bits, end_of_equal(values, bits, quota))
