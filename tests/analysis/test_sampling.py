"""Samples have the inclusion probabilities that they claim."""

from __future__ import annotations

import numpy as np
import pytest

from evomerge.analysis.allocation.sampling import apportion, bins, inclusion_probabilities, simple, systematic

REPEATS = 5000


def shares(draw: object, count: int) -> np.ndarray:
    random = np.random.default_rng(0)
    hits = np.zeros(count)
    for _ in range(REPEATS):
        hits[draw(random)] += 1  # type: ignore[operator]
    return hits / REPEATS


def within_noise(found: np.ndarray, wanted: np.ndarray) -> bool:
    return bool((np.abs(found - wanted) < 5.0 * np.sqrt(0.25 / REPEATS)).all())


def test_inclusion_probabilities_are_capped_at_one() -> None:
    """By hand: 3 of weights (8, 1, 1, 2): the first is certain, the others share 2 as 1 : 1 : 2, so the last is too."""
    assert inclusion_probabilities(np.array([8.0, 1.0, 1.0, 2.0]), 3).tolist() == [1.0, 0.5, 0.5, 1.0]
    assert inclusion_probabilities(np.ones(4), 2).tolist() == [0.5] * 4
    assert inclusion_probabilities(np.array([1.0, 3.0]), 1).tolist() == [0.25, 0.75]
    with pytest.raises(ValueError, match="expected at least 3 positive weights"):
        inclusion_probabilities(np.ones(2), 3)


def test_a_systematic_sample_has_its_probabilities_and_its_size() -> None:
    probabilities = inclusion_probabilities(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 20.0]), 3)
    sizes = {len(systematic(np.random.default_rng(seed), probabilities)) for seed in range(200)}
    assert sizes == {3}
    assert within_noise(shares(lambda random: systematic(random, probabilities), 6), probabilities)
    along = np.arange(6)[::-1]
    assert within_noise(shares(lambda random: systematic(random, probabilities, along), 6), probabilities)


def test_a_simple_sample_is_uniform_and_its_beginning_too() -> None:
    rows = np.arange(10, 20)
    found = shares(lambda random: simple(random, rows, 6)[:3] - 10, 10)
    assert within_noise(found, np.full(10, 0.3))


def test_numbers_of_strata_add_up() -> None:
    most = np.array([10, 10, 2, 0])
    assert apportion(np.array([5.0, 5.0, 5.0, 5.0]), 12, most).tolist() == [5, 5, 2, 0]
    assert apportion(np.array([0.0, 1.0, 0.0, 0.0]), 5, most).tolist() == [1, 3, 1, 0], (
        "one of each where there is room"
    )
    assert apportion(np.array([3.0, 2.0, 1.0, 0.0]), 2, most).sum() == 2


def test_bins_hold_equal_values_together() -> None:
    assert bins(np.array([0.1, 0.9, 0.5, 0.7]), 2).tolist() == [0, 1, 0, 1]
    assert bins(np.array([1.0, 1.0, 1.0, 0.0]), 2).tolist() == [0, 0, 0, 0]
