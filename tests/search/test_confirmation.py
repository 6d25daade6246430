"""The choice of finalists."""

import numpy as np

from evomerge.search.confirmation import choose

FRONT = np.array([[0.0, 1.0], [0.05, 0.9], [0.1, 0.3], [0.15, 0.29], [0.5, 0.2], [0.6, 0.15], [1.0, 0.0]])


def test_a_small_front_is_taken_whole() -> None:
    assert choose(FRONT, 7) == list(range(7))
    assert choose(FRONT, 99) == list(range(7))
    assert choose(np.zeros((0, 2)), 3) == []
    assert choose(FRONT, 0) == []


def test_knee_first_then_extremes_then_spread() -> None:
    assert choose(FRONT, 1) == [2]
    assert choose(FRONT, 2) == [0, 2]
    assert choose(FRONT, 3) == [0, 2, 6]
    assert choose(FRONT, 4) == [0, 2, 4, 6] or choose(FRONT, 4) == [0, 2, 5, 6]


def test_equal_members_take_no_place_of_others() -> None:
    twins = np.repeat(FRONT, 2, axis=0)
    chosen = twins[choose(twins, 4)]
    assert len(np.unique(chosen, axis=0)) == 4
