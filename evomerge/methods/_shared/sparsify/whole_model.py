"""Order statistics of one model's deltas over all tensors, with the elements that have them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from evomerge.kernels import Histogram, OrderStatistic, Threshold, Values, bin_histogram, end_of_equal
from evomerge.methods._shared.inputs import Options, TensorContext, TensorSet, TensorSources
from evomerge.methods._shared.sparsify.top_k import threshold_rank

ValuesOf = Callable[[TensorContext, TensorSources], Values]
"""The values of one model in one tensor, such as its delta."""

# Bins of the whole model's histogram that are kept between candidates.
_REMEMBERED = 64


@dataclass(frozen=True)
class Found:
    """The k-th largest of all magnitudes of a model.

    Attributes:
        k: Its rank.
        bits: Its bits.
        above: Number of larger magnitudes.
        equal: Number of elements of each tensor that have this magnitude, by the tensor's name.
    """

    k: int
    bits: int
    above: int
    equal: Mapping[str, int]

    def threshold(self, name: str, values: Values, options: Options) -> Threshold:
        """The threshold of those elements of a tensor that are among the k largest; by ``kept``, of equal ones all."""
        own = self.equal[name]
        if options["kept"] != "exact":
            return _threshold(values, self.bits, own, own)
        # Equal elements are kept in the order of the tensors: those of earlier tensors are taken off this one's quota.
        before = sum(self.equal[other] for other in list(self.equal)[: list(self.equal).index(name)])
        return _threshold(values, self.bits, own, self.k - self.above - before)


@dataclass(frozen=True)
class WholeModel:
    """All tensors of one model.

    Where the histogram of the whole model is too coarse for a threshold, one of its bins is counted exactly, in a pass
    over those tensors whose own histograms are coarse.

    Attributes:
        tensors: All tensors of the merge, each stored tensor once; iterated when it is asked.
        values_of: The model's values.
        own: Histogram of each tensor's, by its name.
        whole: Their union.
    """

    tensors: TensorSet
    values_of: ValuesOf
    own: Mapping[str, Histogram]
    whole: Histogram
    _bins: OrderedDict[int, dict[str, Histogram]] = field(default_factory=OrderedDict)

    def find(self, density: float, options: Options) -> Found:
        """The smallest magnitude that is kept, see :func:`threshold_rank`."""
        k = threshold_rank(density, self.whole.count, options)
        found: OrderStatistic = self.whole.largest(k, lambda bin_key: Histogram.union(self._bin(bin_key).values()))
        parts = self._bin(found.bits >> self.whole.shift)
        equal = {name: part.equal(found.bits) for name, part in parts.items()}
        return Found(k, found.bits, found.above, equal)

    def _bin(self, bin_key: int) -> dict[str, Histogram]:
        """One bin of the whole model's magnitudes, counted exactly for every tensor."""
        shift = self.whole.shift
        if bin_key not in self._bins:
            found = {name: own.within(bin_key, shift) for name, own in self.own.items()}
            if any(part.shift for part in found.values()):
                for context, sources in self.tensors:
                    if found[context.name].shift:
                        found[context.name] = bin_histogram(self.values_of(context, sources), bin_key, shift)
            self._bins[bin_key] = found
        self._bins.move_to_end(bin_key)
        while len(self._bins) > _REMEMBERED:
            self._bins.popitem(last=False)
        return self._bins[bin_key]


def _threshold(values: Values, bits: int, equal: int, quota: int) -> Threshold:
    """The threshold of one tensor that admits the first ``quota`` of its ``equal`` elements at ``bits``."""
    if bits == 0 or quota >= equal:
        return Threshold(bits, values.base.numel())
    return Threshold(bits, end_of_equal(values, bits, quota))
