"""Layers of one model below and above those of another, by four numbers."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evomerge.genome.gene_block import TOLERANCE
from evomerge.genome.weight_rules import Weights, alike, middle_of, whole

__all__ = ["LayerSwap"]


@dataclass(frozen=True)
class LayerSwap:
    """Layers of the second model below and above those of the first, means of both in the transitions.

    Attributes:
        layers: Number of layers; each end has at most half of them, each transition at most an eighth, and at least 1.
    """

    layers: int

    labels = ("layers at the bottom", "transition at the bottom", "transition at the top", "layers at the top")

    def weights(self, genes: NDArray[np.float64]) -> Weights:
        """See :meth:`Rule.weights`."""
        return self._weights(*(whole(gene, count) for gene, count in zip(genes, self._counts, strict=True)))

    def genes(self, weights: Weights) -> NDArray[np.float64] | None:
        """See :meth:`Rule.genes`."""
        counts = self._counts
        # Where the user has fixed some layers, what they hide may be anything.
        some = itertools.product(*map(range, counts)) if np.isnan(weights).any() else [self._read(weights[:, 1])]
        for numbers in some:
            within = all(number < count for number, count in zip(numbers, counts, strict=True))
            if within and alike(self._weights(*numbers), weights):
                return np.array([middle_of(number, count) for number, count in zip(numbers, counts, strict=True)])
        return None

    def _read(self, second: NDArray[np.float64]) -> tuple[int, int, int, int]:
        """The numbers that weights of the second model have if they have any."""
        end, between = (count - 1 for count in self._counts[:2])
        bottom = _run(second, 1.0)
        if bottom == len(second):  # all are the second's
            return len(second) - end, 0, 0, end
        top = _run(second[::-1], 1.0)
        middle = second[bottom : len(second) - top]
        lower, upper = _run(middle, 0.5), _run(middle[::-1], 0.5)
        if lower == len(middle):  # the transitions meet
            lower = max(0, len(middle) - between)
            upper = len(middle) - lower
        return bottom, lower, upper, top

    @property
    def _counts(self) -> tuple[int, int, int, int]:
        end, between = 1 + self.layers // 2, 1 + max(1, self.layers // 8)
        return end, between, between, end

    def _weights(self, bottom: int, lower: int, upper: int, top: int) -> Weights:
        second = np.zeros(self.layers)
        second[: bottom + lower] = 0.5
        second[max(0, self.layers - top - upper) :] = 0.5
        second[:bottom] = 1.0
        second[self.layers - top :] = 1.0
        return np.stack([1.0 - second, second], axis=1)


def _run(values: NDArray[np.float64], value: float) -> int:
    """How many of the first values are this one."""
    other = np.flatnonzero(np.abs(values - value) > TOLERANCE)
    return int(other[0]) if len(other) else len(values)
