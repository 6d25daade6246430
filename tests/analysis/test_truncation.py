"""Answers that were cut, as a rival explanation of a difference."""

from __future__ import annotations

import numpy as np
import pytest

from evomerge.analysis import Stratum, stratified_difference, truncation


def stratum(values: list[float], cut: list[int] | None, task: str = "t") -> Stratum:
    """A task whose answers at some places were cut."""
    flags = None if cut is None else np.isin(np.arange(len(values)), cut)
    return Stratum(task, tuple(f"{n:03d}" for n in range(len(values))), np.array(values), 1.0, truncated=flags)


RIGHT, WRONG = [1.0] * 100, [1.0] * 60 + [0.0] * 40


def test_unequal_cuts_blur_a_difference() -> None:
    found = truncation([stratum(RIGHT, [])], [stratum(WRONG, list(range(60, 100)))])
    assert found is not None
    assert (found.first, found.second, found.apart) == (0.0, 0.4, True)
    assert found.blurs()


def test_equal_cuts_blur_nothing() -> None:
    found = truncation([stratum(RIGHT, list(range(10)))], [stratum(WRONG, list(range(10)))])
    assert found is not None
    assert (found.first, found.second, found.apart) == (0.1, 0.1, False)
    assert not found.blurs()


def test_a_difference_that_rests_on_a_few_cut_answers_is_blurred() -> None:
    """Six more right answers, four of them where the other model alone was cut: the two that remain say nothing."""
    first, second = [1.0] * 20, [1.0] * 14 + [0.0] * 6
    cut = [0, 16, 17, 18, 19]
    found = truncation([stratum(first, [0, 1, 2])], [stratum(second, cut)])
    between = stratified_difference([stratum(first, None)], [stratum(second, None)])
    assert between is not None
    assert between.low > 0.0
    assert found is not None
    assert not found.apart
    assert found.p is not None
    assert found.p > 0.05
    assert found.blurs()
    sturdy = truncation([stratum(RIGHT, [0, 1, 2])], [stratum(WRONG, [0, 1, 2, 96, 97])])
    assert sturdy is not None
    assert not sturdy.blurs()
    assert sturdy.blurs(comparisons=1e12)


@pytest.mark.parametrize("cut", [None, []])
def test_without_cuts_there_is_nothing_to_say(cut: list[int] | None) -> None:
    assert truncation([stratum(RIGHT, cut)], [stratum(WRONG, cut)]) is None
    assert truncation([], []) is None
    assert truncation([stratum(RIGHT, [1])], [stratum(RIGHT[:50], [1])]) is None
    assert truncation([stratum(RIGHT, [1])], [stratum(WRONG, [2]), stratum(WRONG, [2], "other")]) is None


def test_tasks_that_generate_nothing_are_left_out_of_the_shares() -> None:
    ours = [stratum(RIGHT, [], "gen"), stratum(RIGHT, None, "choice")]
    theirs = [stratum(WRONG, list(range(60, 100)), "gen"), stratum(WRONG, None, "choice")]
    found = truncation(ours, theirs)
    assert found is not None
    assert (found.first, found.second) == (0.0, 0.4)
