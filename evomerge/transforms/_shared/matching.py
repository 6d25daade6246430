"""Permutations that bring one model's neurons and heads into another's order.

The order of a layer's neurons means nothing: rows of the matrices that make them and columns of the one that reads them
may be permuted together, and the model computes the same. Which neurons belong together is one linear assignment per
layer, on inner products of weights (Ainsworth et al. 2023, arXiv:2209.04836) or on features (Li et al. 2016).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment

# Gains, relative to the similarity as it was, that rounding alone may make.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Matched:
    """An assignment.

    Attributes:
        order: For each unit of the reference the unit of the other model that belongs to it, int64.
        before: Sum of the similarities of units at the same place.
        after: The same in the new order.
    """

    order: torch.Tensor
    before: float
    after: float

    @property
    def gains(self) -> bool:
        """Whether the new order is better than the one that was, beyond rounding."""
        return self.after - self.before > _ROUNDING * max(abs(self.before), abs(self.after))


def assign(similarity: torch.Tensor) -> Matched:
    """The assignment of largest total similarity, (reference units, other units)."""
    values = similarity.double().cpu()
    _, columns = linear_sum_assignment(values.numpy(), maximize=True)
    order = torch.from_numpy(columns).long()
    rows = torch.arange(len(order))
    return Matched(order, float(values.diagonal().sum()), float(values[rows, order].sum()))


def feature_similarity(reference: torch.Tensor, other: torch.Tensor, *, distance: bool = False) -> torch.Tensor:
    """Similarity of features over the same tokens, float64.

    Args:
        reference: (tokens, units) of the reference.
        other: (tokens, units) of the other model.
        distance: Minus the Euclidean distance instead of the inner product.
    """
    mine, theirs = reference.double(), other.double()
    if not distance:
        return mine.T @ theirs
    return -torch.cdist(mine.T, theirs.T, compute_mode="donot_use_mm_for_euclid_dist")
