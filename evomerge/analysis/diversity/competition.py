"""Competition for items, as in M2N2 (Abrantes et al. 2025, arXiv:2508.16204): what each model gets, and who leaves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["attraction", "leaving", "shared", "survivors"]


def shared(scores: ArrayLike, alpha: float) -> NDArray[np.float64]:
    """The part of each item that each member gets, ``s(x, j) / z_x^alpha``, ``(members, items)``.

    Args:
        scores: Scores of items, 0 or more, ``(members, items)``; their sum over members is ``z``, 1 where it is 0.
        alpha: How far members share; 0: not.
    """
    values = np.asarray(scores, dtype=np.float64)
    total = values.sum(axis=0)
    found: NDArray[np.float64] = values / np.where(total > 0.0, total, 1.0) ** alpha
    return found


def attraction(resources: NDArray[np.float64], first: int) -> NDArray[np.float64]:
    """The sum over items of how much more each member gets than a first one, ``(members,)``."""
    found: NDArray[np.float64] = np.maximum(resources - resources[first], 0.0).sum(axis=1)
    return found


def leaving(scores: Sequence[ArrayLike], missed: Sequence[float], alpha: float) -> int:
    """Who leaves: who misses constraints by most; where nobody does, who gets least, of equal ones the last.

    Args:
        scores: Scores of items of each member, ``(items,)`` each.
        missed: By how much each misses the constraints, 0 or more.
        alpha: How far members share.
    """
    fitness = shared(np.array(scores), alpha).sum(axis=1)
    order = list(zip((-by for by in missed), fitness.tolist(), strict=True))
    return len(order) - 1 - order[::-1].index(min(order))


def survivors(scores: Sequence[ArrayLike], missed: Sequence[float], alpha: float, limit: int) -> list[int]:
    """Rows of the members that are left once all have joined one after the other, in the order of their joining.

    Args:
        scores: Scores of items of each that joins, ``(items,)`` each.
        missed: By how much each misses the constraints, 0 or more.
        alpha: How far members share.
        limit: How many members there may be; with one more the one of `leaving` leaves.
    """
    kept: list[int] = []
    for row in range(len(scores)):
        kept.append(row)
        if len(kept) > limit:
            del kept[leaving([scores[member] for member in kept], [missed[member] for member in kept], alpha)]
    return kept
