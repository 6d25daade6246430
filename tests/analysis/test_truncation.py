"""Answers that were cut, as a rival explanation of a difference."""

from __future__ import annotations

import numpy as np
import pytest

from evomerge.analysis import Stratum, stratified_difference, stratified_p_value, truncation, uneven_truncation


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


def cuts(share: float, task: str = "t", items: int = 100) -> Stratum:
    """The cuts of a model on a task: of that share of its answers, the first ones."""
    names = tuple(f"{n:03d}" for n in range(items))
    return Stratum(task, names, (np.arange(items) < share * items).astype(float), 1.0)


def test_limits_that_cut_models_unevenly_are_found_by_task() -> None:
    models = {
        "base": {"t": cuts(0.0), "u": cuts(0.3, "u")},
        "long": {"t": cuts(0.4), "u": cuts(0.32, "u")},
        "middle": {"t": cuts(0.1), "u": cuts(0.31, "u")},
    }
    (found,) = uneven_truncation(models)
    assert (found.task, found.most, found.least, found.shares) == ("t", "long", "base", (0.4, 0.0))
    alone = stratified_p_value([models["long"]["t"]], [models["base"]["t"]])
    assert alone is not None
    assert found.p == pytest.approx(alone * 3 * 2), "three pairs of models, two tasks"


def test_chance_among_many_models_is_no_finding() -> None:
    """Six answers of a hundred are more than chance between two models, and not between the extremes of twenty."""
    two = {"a": {"t": cuts(0.06)}, "b": {"t": cuts(0.0)}}
    assert [one.task for one in uneven_truncation(two)] == ["t"]
    assert uneven_truncation(two | {f"c{n}": {"t": cuts(0.03)} for n in range(18)}) == []


def test_models_are_compared_where_both_were_asked() -> None:
    assert uneven_truncation({}) == []
    assert uneven_truncation({"a": {"t": cuts(1.0)}}) == []
    assert uneven_truncation({"a": {"t": cuts(1.0)}, "b": {"u": cuts(0.0, "u")}}) == []
    assert uneven_truncation({"a": {"t": cuts(1.0)}, "b": {"t": cuts(1.0)}}) == []
    other = Stratum("t", ("x", "y"), np.zeros(2), 1.0)
    assert uneven_truncation({"a": {"t": cuts(1.0)}, "b": {"t": other}}) == []
