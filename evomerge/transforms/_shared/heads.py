"""Assignment of attention heads: query heads within their key/value heads, and these among each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from evomerge.transforms._shared.matching import Matched, assign


@dataclass(frozen=True)
class MatchedHeads:
    """An assignment of heads.

    Attributes:
        queries: For each query head of the reference the other model's that belongs to it.
        keys: The same for key/value heads.
        gains: Whether the new order is better than the one that was, beyond rounding.
        before: Sum of similarities as it was.
        after: The same in the new order.
    """

    queries: torch.Tensor
    keys: torch.Tensor
    gains: bool
    before: float
    after: float


def assign_heads(queries: torch.Tensor, keys: torch.Tensor) -> MatchedHeads:
    """The best order of heads that keeps the query heads of a key/value head together.

    For each pair of key/value heads the best assignment of their query heads is known first; then one assignment of
    key/value heads, with these similarities added to their own, is best of all.

    Args:
        queries: Similarity of query heads, (reference heads, other heads); those of a key/value head lie together.
        keys: Similarity of key/value heads.
    """
    groups = len(keys)
    size = len(queries) // groups
    within = [
        [assign(queries[a * size : (a + 1) * size, b * size : (b + 1) * size]) for b in range(groups)]
        for a in range(groups)
    ]
    best = keys.double() + torch.tensor([[one.after for one in row] for row in within], dtype=torch.float64)
    found = assign(best)
    order = torch.cat([int(b) * size + within[a][int(b)].order for a, b in enumerate(found.order)])
    before = float(keys.double().diagonal().sum() + queries.double().diagonal().sum())
    whole = Matched(order, before, found.after)
    return MatchedHeads(order, found.order, whole.gains, before, found.after)
