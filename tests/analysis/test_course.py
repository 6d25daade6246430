"""The best value and the hypervolume so far, against recomputing them for every prefix."""

from __future__ import annotations

import numpy as np
import pytest

from evomerge.analysis.course import best_so_far, hypervolume_so_far
from evomerge.analysis.pareto import dominates, hypervolume


def points(count: int) -> list[np.ndarray | None]:
    draw = np.random.default_rng(0)
    return [None if n % 7 == 3 else 1.2 - draw.integers(0, n + 2, size=2) / 60 for n in range(count)]


def test_changes_are_those_of_every_prefix() -> None:
    found, reference = points(60), np.array([0.9, 1.0])
    volumes, lowest, last, best = [], [], 0.0, np.inf
    for count in range(1, 61):
        seen = np.array([p for p in found[:count] if p is not None])
        if len(seen) and (volume := hypervolume(seen, reference)) > last + 1e-12:
            volumes.append((count, pytest.approx(volume)))
            last = volume
        if len(seen) and seen[:, 1].min() < best:
            best = seen[:, 1].min()
            lowest.append((count, best))
    assert len(volumes) > 4
    assert [step for step in hypervolume_so_far(found, reference) if step[1] > 0.0] == volumes
    assert list(best_so_far(found, 1)) == lowest
    assert hypervolume_so_far([None], reference) == best_so_far([], 0) == ()


def test_dominance() -> None:
    assert dominates([0.0, 1.0], [0.0, 2.0])
    assert not dominates([0.0, 1.0], [0.0, 1.0])
    assert not dominates([0.0, 3.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="finite"):
        dominates([0.0, np.nan], [1.0, 2.0])
