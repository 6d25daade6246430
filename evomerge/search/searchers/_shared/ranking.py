"""The order of candidates under one objective: feasible before infeasible, then less violation (Deb 2000)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from evomerge.search.searchers._shared.protocol import Array

__all__ = ["Rank", "ranks"]

Rank = tuple[float, float]
"""Violation, then the objective; less is better."""


def ranks(ids: Sequence[str], F: Array, G: Array) -> Iterator[tuple[str, Rank]]:
    """The rank of each candidate.

    Args:
        ids: Of the candidates.
        F: Objectives, ``(n, 1)``.
        G: Constraints, ``(n, n_con)``.
    """
    violation = np.maximum(G, 0.0).sum(axis=1)
    for id, missed, value in zip(ids, violation.tolist(), F[:, 0].tolist(), strict=True):
        yield id, (missed, value)
