"""Groups of experts by what routers said: worked by hand, and the numbers of groups shared out over layers."""

from __future__ import annotations

import numpy as np
import pytest

from evomerge.analysis.expert_groups import Array, groups_of, likeness_of, shared_counts, weights_within
from evomerge.errors import InputError

LOGITS = np.array([[3.0, 2.9, 0.0, -1.0], [2.0, 2.1, 0.5, -1.0], [3.0, 2.8, 2.9, 0.0], [-1.0, -1.0, 0.0, 4.0]])


def products(logits: Array) -> Array:
    return logits.T @ logits


def test_likeness_is_a_cosine() -> None:
    found = likeness_of(products(np.array([[1.0, 2.0, -1.0, 0.0], [0.0, 0.0, 0.0, 0.0]])))
    np.testing.assert_allclose(found[:3, :3], [[1, 1, 0], [1, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(found[3], [0.5, 0.5, 0.5, 1.0])  # no logits are like none


def test_those_used_most_have_a_group_and_the_others_join() -> None:
    """Experts 0 and 3 are used most of what is unlike; 1 says what 0 says."""
    usage = np.array([0.5, 0.2, 0.0, 0.3])
    groups = groups_of(usage, likeness_of(products(LOGITS)), 2)
    assert groups.tolist() == [0, 0, 0, 1]
    np.testing.assert_allclose(weights_within(groups, usage), [0.5 / 0.7, 0.2 / 0.7, 0.0, 1.0])
    np.testing.assert_allclose(weights_within(groups, usage, 0.0), [1 / 3, 1 / 3, 1 / 3, 1.0])
    assert groups_of(usage, likeness_of(products(LOGITS)), 4).tolist() == [0, 2, 3, 1]
    assert weights_within(np.array([0, 0]), np.zeros(2)).tolist() == [0.5, 0.5]
    for count in (0, 5):
        with pytest.raises(InputError, match="expected 1 to 4 groups"):
            groups_of(usage, likeness_of(products(LOGITS)), count)


def test_layers_that_use_experts_evenly_get_more_groups() -> None:
    even, one = np.full(4, 0.25), np.array([0.97, 0.01, 0.01, 0.01])
    assert shared_counts([even, one], 2) == [4, 1] or sum(shared_counts([even, one], 2)) <= 4
    spread = np.array([0.4, 0.3, 0.2, 0.1])
    assert shared_counts([spread, one], 2) == [3, 1]
    with pytest.raises(InputError, match="1 to 3 on average, got 4"):
        shared_counts([spread], 4)
