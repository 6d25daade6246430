"""Keeps the elements of largest magnitude, over one tensor or over the whole model."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from evomerge.kernels import OrderStatistic, Ranks, end_of_equal, magnitude_bits
from evomerge.methods._declaration import TensorSet
from evomerge.methods._deltas import Keep, delta_bits

# Stretches of the global order kept per model between candidates (see Ranks): at most 50 MB each, usually far less.
_REMEMBERED = 128


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


class TensorTrim:
    """Trims every delta of one tensor by itself.

    Args:
        base: The base's tensor.
        models: The models' tensors.
        rule: ``exact`` or ``threshold``, see :func:`place`.
    """

    def __init__(self, base: torch.Tensor, models: Sequence[torch.Tensor], rule: str) -> None:
        self._base = base
        self._models = models
        self._rule = rule
        self._ranks = [Ranks(partial(delta_bits, base, model)) for model in models]

    def keep(self, model: int, density: float) -> Keep:
        """Keeps the largest of this tensor."""
        ranks = self._ranks[model]
        wanted = place(density, ranks.count, self._rule)
        threshold = ranks.largest(wanted)
        quota = wanted - threshold.above if self._rule == "exact" else threshold.equal
        return cut(self._base, self._models[model], threshold, quota).keep


def cut(base: torch.Tensor, model: torch.Tensor, threshold: OrderStatistic, quota: int) -> Cut:
    """The cut of one tensor that keeps the first ``quota`` of its elements equal to the threshold."""
    numel = base.numel()
    if threshold.bits == 0 or quota >= min(threshold.equal, numel):
        return Cut(threshold.bits, numel)
    if quota <= 0:
        return Cut(threshold.bits, 0)
    return Cut(threshold.bits, end_of_equal(delta_bits(base, model), threshold.bits, quota))


class ModelRanks:
    """The order of all elements of each delta over the whole model.

    Counts magnitudes once; the exact threshold of a density takes one more pass over the tensors, unless a density near
    it was asked for lately.

    Args:
        tensors: All tensors of the merge, each stored tensor once; iterated now and again later.
        rule: ``exact`` or ``threshold``, see :func:`place`.
    """

    def __init__(self, tensors: TensorSet, rule: str) -> None:
        self._tensors = tensors
        self._rule = rule
        self._ranks: dict[int, Ranks] = {}
        self._earlier: OrderedDict[tuple[int, int], Mapping[str, int]] = OrderedDict()

    def cut(self, name: str, base: torch.Tensor, models: Sequence[torch.Tensor], model: int, density: float) -> Cut:
        """The cut of one tensor of the model."""
        if model not in self._ranks:
            self._ranks[model] = Ranks(partial(self._bits, model), _REMEMBERED)
        ranks = self._ranks[model]
        wanted = place(density, ranks.count, self._rule)
        threshold = ranks.largest(wanted)
        quota = wanted - threshold.above
        if self._rule == "threshold" or quota == threshold.equal or threshold.bits == 0:
            return Cut(threshold.bits, base.numel())
        # Equal elements are kept in the order of the tensors: what earlier tensors hold is taken off this one's quota.
        return cut(base, models[model], threshold, quota - self._equal_earlier(model, threshold.bits)[name])

    def _bits(self, model: int) -> Iterator[torch.Tensor]:
        for _, base, models in self._tensors:
            if base is not None:
                yield from delta_bits(base, models[model])

    def _equal_earlier(self, model: int, bits: int) -> Mapping[str, int]:
        key = (model, bits)
        if key not in self._earlier:
            earlier, seen = {}, 0
            for context, base, models in self._tensors:
                earlier[context.name] = seen
                if base is not None:
                    seen += sum(int((block == bits).sum()) for block in delta_bits(base, models[model]))
            self._earlier[key] = earlier
        self._earlier.move_to_end(key)
        while len(self._earlier) > _REMEMBERED:
            self._earlier.popitem(last=False)
        return self._earlier[key]


@dataclass(frozen=True)
class ModelTrim:
    """Trims every delta of one tensor by the thresholds of the whole model.

    Attributes:
        ranks: The order over the whole model.
        name: The tensor's name.
        base: The base's tensor.
        models: The models' tensors.
    """

    ranks: ModelRanks
    name: str
    base: torch.Tensor
    models: Sequence[torch.Tensor]

    def keep(self, model: int, density: float) -> Keep:
        """Keeps the largest of the whole model."""
        return self.ranks.cut(self.name, self.base, self.models, model, density).keep
