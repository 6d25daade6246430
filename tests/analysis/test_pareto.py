"""Dominance, hypervolume and knee, against definitions worked by hand and by brute force."""

import numpy as np
import pytest

from evomerge.analysis.pareto import hypervolume, knee, layers, non_dominated, normalise


def brute_force(F: np.ndarray) -> np.ndarray:
    """The definition: no other point is at least as good everywhere and better somewhere."""
    return np.array([not any((q <= p).all() and (q < p).any() for q in F) for p in F])


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_non_dominated_is_the_definition(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    for _ in range(20):
        F = rng.integers(0, 5, size=(30, objectives)).astype(float)
        assert (non_dominated(F) == brute_force(F)).all()


def test_equal_points_stay_together() -> None:
    assert non_dominated([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]).tolist() == [True, True, True, False]


def test_layers_peel_front_after_front() -> None:
    F = [[0.0, 3.0], [1.0, 1.0], [2.0, 2.0], [3.0, 0.0], [3.0, 3.0], [2.0, 2.0]]
    assert layers(F, 99) == [[0, 1, 3], [2, 5], [4]]
    assert layers(F, 3) == [[0, 1, 3]]
    assert layers(F, 4) == [[0, 1, 3], [2, 5]]
    assert layers(F, 0) == []
    assert layers(np.zeros((0, 2)), 5) == []
    assert layers([[2.0], [1.0], [2.0]], 2) == [[1], [0, 2]]


def test_nothing_to_compare() -> None:
    assert non_dominated(np.zeros((0, 2))).tolist() == []


def test_hypervolume_by_hand() -> None:
    assert hypervolume([[1.0, 2.0], [2.0, 1.0]], [3.0, 3.0]) == pytest.approx(3.0)
    assert hypervolume([[1.0, 2.0], [2.0, 1.0], [2.5, 2.5]], [3.0, 3.0]) == pytest.approx(3.0)
    assert hypervolume([[0.25], [0.5]], [1.0]) == pytest.approx(0.75)
    assert hypervolume([[0.0, 0.0, 0.0]], [1.0, 2.0, 3.0]) == pytest.approx(6.0)


def test_points_beyond_the_reference_add_nothing() -> None:
    assert hypervolume([[1.0, 4.0], [3.0, 0.0]], [3.0, 3.0]) == 0.0
    assert hypervolume(np.zeros((0, 2)), [1.0, 1.0]) == 0.0


def test_knee_is_where_the_front_bends() -> None:
    front = [[0.0, 1.0], [0.1, 0.3], [0.5, 0.25], [1.0, 0.0]]
    assert knee(front) == 1
    assert knee([[100 * a, 0.01 * b] for a, b in front]) == 1, "the scale of an objective says nothing"
    assert knee([[5.0, 5.0], *front]) == 2, "a dominated point is never the knee, nor does it set the scale"


def test_knee_of_a_straight_front_is_the_balanced_member() -> None:
    assert knee([[0.0, 1.0], [0.1, 0.9], [0.4, 0.6], [1.0, 0.0]]) == 2
    assert knee([[0.0, 1.0], [1.0, 0.0]]) == 0


def test_knee_of_one_objective_is_the_best() -> None:
    assert knee([[3.0], [1.0], [2.0]]) == 1


def test_normalise_keeps_a_constant_objective_harmless() -> None:
    assert normalise([[1.0, 2.0], [3.0, 2.0]]).tolist() == [[0.0, 0.0], [1.0, 0.0]]


def test_numbers_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match=r"rows \[1\]"):
        non_dominated([[0.0, 1.0], [np.nan, 0.0]])
    with pytest.raises(ValueError, match="shape"):
        knee([1.0, 2.0])
    with pytest.raises(ValueError, match="reference point of shape"):
        hypervolume([[0.0, 1.0]], [1.0])
    with pytest.raises(ValueError, match="at least one point"):
        knee(np.zeros((0, 2)))
