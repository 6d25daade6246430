"""Shares of a budget by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evomerge.analysis.allocation.ocba import additions, shares


def test_shares_of_one_objective_by_hand() -> None:
    """Gaps 1 and 2 with equal spread: 1 and 1/4 for the others, and the root of 1 + 1/16 for the best."""
    wanted = np.array([math.sqrt(1 + 1 / 16), 1.0, 0.25])
    found = shares(np.array([[0.0], [1.0], [2.0]]), np.ones((3, 1)))
    assert found == pytest.approx(wanted / wanted.sum())
    doubled = shares(np.array([[0.0], [1.0], [2.0]]), np.array([[1.0], [2.0], [1.0]]))
    assert doubled[1] / doubled[2] == pytest.approx(16.0), "twice the spread, four times the items"


def test_several_objectives_look_at_what_decides_domination() -> None:
    """The third is dominated by 0.1 at the least, the others lie 1 apart in one objective."""
    found = shares(np.array([[0.0, 1.0], [1.0, 0.0], [0.1, 1.1]]), np.ones((3, 2)))
    # Smallest advantages of each over another, the largest of these: 0.1 below, 1 below, 0.1 above.
    wanted = np.array([100.0, 1.0, 100.0])
    assert found == pytest.approx(wanted / wanted.sum())


def test_additions_bring_counts_to_their_shares() -> None:
    assert additions(np.array([0.5, 0.3, 0.2]), np.array([10, 10, 10]), 20, 99).tolist() == [15, 5, 0]
    assert additions(np.array([0.9, 0.1]), np.array([5, 5]), 10, 8).tolist() == [3, 3], "no more than there are"
    assert additions(np.ones(1), np.array([3]), 2, 9).tolist() == [2]
