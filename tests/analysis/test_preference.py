"""Members by weights and by a reference point, and the R2 indicator, worked by hand."""

import numpy as np
import pytest

from evomerge.analysis.fronts.preference import by_reference, by_weights
from evomerge.analysis.fronts.r2 import r2, uniform_weights
from evomerge.analysis.pareto import knee

FRONT = [[0.0, 10.0], [1.0, 4.0], [3.0, 2.0], [4.0, 0.0]]  # scaled: (0, 1), (.25, .4), (.75, .2), (1, 0)


def test_weights_take_the_least_weighted_sum_of_scaled_objectives() -> None:
    # .9: .1, .265, .695, .9; .5: .5, .325, .475, .5; .2: .8, .37, .31, .2
    assert [by_weights(FRONT, (w, 1 - w)) for w in (0.9, 0.5, 0.2)] == [0, 1, 3]
    assert by_weights(FRONT, (7, 7)) == knee(FRONT), "equal weights are the knee"
    assert by_weights([[100 * a, 0.01 * b] for a, b in FRONT], (0.2, 0.8)) == 3, "the scale says nothing"


def test_a_weight_of_nothing_still_decides_between_equals() -> None:
    assert by_weights([[1.0, 5.0, 0.0], [1.0, 2.0, 0.2], [3.0, 0.0, 1.0]], (1.0, 0.0, 0.0)) == 1
    with pytest.raises(ValueError, match="2 weights of 0 or more"):
        by_weights(FRONT, (1.0, -1.0))
    with pytest.raises(ValueError, match="2 weights of 0 or more"):
        by_weights(FRONT, (0.0, 0.0))
    with pytest.raises(ValueError, match="at least one point"):
        by_weights(np.zeros((0, 2)), (1.0, 1.0))


def test_a_reference_takes_what_falls_short_of_it_by_least() -> None:
    # From (1, 2), scaled by 4 and 10, rows fall short by at most .8, .2, .5, .75.
    assert by_reference(FRONT, (1.0, 2.0)) == 1
    # From (5, 3), which is within reach, by at most .7, .1, -.1, -.25: the last is better in all by most.
    assert by_reference(FRONT, (5.0, 3.0)) == 3
    assert by_reference(FRONT, (-1.0, 20.0)) == 0
    assert by_reference([[9.0, 9.0], *FRONT], (1.0, 2.0)) == 2, "a dominated point is never taken, nor sets a range"
    with pytest.raises(ValueError, match="reference point of shape"):
        by_reference(FRONT, (1.0,))


def test_a_reference_reaches_what_no_weights_reach() -> None:
    dent = [[0.0, 1.0], [0.6, 0.6], [1.0, 0.0]]
    assert {by_weights(dent, (w, 1 - w)) for w in np.linspace(0, 1, 21)} == {0, 2}
    assert by_reference(dent, (0.5, 0.5)) == 1


def test_uniform_weights_are_the_simplex_lattice() -> None:
    assert uniform_weights(2, 3).tolist() == [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]
    three = uniform_weights(3, 6)
    assert three.tolist() == [[0, 0, 1], [0, 0.5, 0.5], [0, 1, 0], [0.5, 0, 0.5], [0.5, 0.5, 0], [1, 0, 0]]
    assert uniform_weights(2).shape == (500, 2)
    assert all(m <= len(uniform_weights(m)) <= 500 and np.allclose(uniform_weights(m).sum(1), 1) for m in range(1, 8))


def test_r2_by_hand() -> None:
    three = uniform_weights(2, 3)
    # (0, 1): min(1, 2) = 1; (1/2, 1/2): min(1, 1) = 1; (1, 0): min(2, 1) = 1.
    assert r2([[2.0, 1.0], [1.0, 2.0]], [0.0, 0.0], three) == pytest.approx(1.0)
    # One point in the middle: 1, 1/2, 1; a point further away changes nothing.
    assert r2([[1.0, 1.0], [3.0, 1.0]], [0.0, 0.0], three) == pytest.approx(2.5 / 3)
    assert r2([[5.0, 7.0]], [5.0, 7.0]) == 0.0
    # Of (1, 1) with ever more vectors: the mean of max(w, 1 - w), 3/4.
    assert r2([[1.0, 1.0]], [0.0, 0.0]) == pytest.approx(0.75, abs=2e-3)
    assert r2([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0]) == pytest.approx(0.25, abs=2e-3), "min(w, 1 - w)"


def test_r2_refuses_what_it_cannot_measure() -> None:
    with pytest.raises(ValueError, match="better than the ideal"):
        r2([[0.0, 1.0]], [0.5, 0.5])
    with pytest.raises(ValueError, match="expected points"):
        r2(np.zeros((0, 2)), [0.0, 0.0])
    with pytest.raises(ValueError, match="expected weights"):
        r2([[0.0, 1.0]], [0.0, 0.0], [[1.0]])
