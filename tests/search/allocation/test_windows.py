"""Windows, rungs and what is told, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evomerge.analysis.allocation.racing import Part, differences
from evomerge.search import AllocationSettings
from evomerge.search.allocation import Choice, Window, policies
from evomerge.search.allocation.allocator import Allocator
from evomerge.search.allocation.book import AnswerBook
from evomerge.search.allocation.estimate import estimate
from evomerge.search.allocation.growth import grown
from evomerge.search.allocation.history import History, TaskAnswers
from evomerge.search.allocation.told import joined, levelled


def test_rungs_are_nested_and_in_the_order_of_the_pool() -> None:
    pool = {"t": tuple(f"i{n}" for n in range(60))}
    order = np.random.default_rng(0).permutation(60)[:45]
    window = Window(pool, {"t": Choice(order, np.full(60, 0.75))}, {"python": ("",)})
    first, second, third = window.rungs(4)
    assert [len(rung.items["t"]) for rung in (first, second, third)] == [5, 15, 45], "a fourth would have too few"
    assert set(first.items["t"]) < set(second.items["t"]) < set(third.items["t"]) == {f"i{n}" for n in order}
    assert list(third.choices["t"].rows) == sorted(order)
    assert all(rung.items["python"] == ("",) for rung in (first, second, third))
    assert third.probabilities == {"t": (0.75,) * 45}
    assert second.probabilities == {"t": (0.25,) * 15}, "a third of the window, by chance"
    named = Window(pool, {"t": Choice.named(order, 60)}, {})
    assert named.rungs(2)[0].items["t"] == tuple(sorted((f"i{n}" for n in order[:15]), key=lambda i: int(i[1:])))
    assert [rung.probabilities for rung in named.rungs(2)] == [None, None]


def test_a_prefix_of_so_many_items_has_no_more() -> None:
    """25 * (7 / 25) is a little more than 7."""
    window = Window({"t": tuple(map(str, range(25)))}, {"t": Choice(np.arange(25), np.ones(25))}, {})
    assert [len(window.prefix(count / 25).items["t"]) for count in range(1, 26)] == [5] * 5 + list(range(6, 26))
    assert len(window.prefix(7.1 / 25).items["t"]) == 8, "a part of an item is one"


def test_windows_of_equal_chances_have_the_share_that_was_answered() -> None:
    """Nested ones and disjoint ones are not independent: of 10 items 5, then 8, are 8, and 5 and 3 others as well."""
    pool = {"t": tuple(map(str, range(10)))}
    book = AnswerBook(pool, (("t", "acc"),), 1)
    nested = Window(pool, {"t": Choice(np.arange(10), np.ones(10))}, {})
    apart = [Choice(np.arange(5), np.full(10, 0.5)), Choice(np.arange(5, 8), np.full(10, 0.3))]
    unequal = Choice(np.array([0, 1, 2, 3]), np.repeat([1.0, 0.25], [2, 8]))
    asked = {
        "nested": [nested.prefix(0.5), nested.prefix(0.8)],
        "apart": [Window(pool, {"t": choice}, {}).prefix(1.0) for choice in apart],
        "unequal": [Window(pool, {"t": unequal}, {}).prefix(1.0)] * 2,
    }
    for name, prefixes in asked.items():
        book.enter(name, 1, None)
        for prefix in prefixes:
            book.weigh(name, prefix)
    found = book.inclusion("t")
    assert found[:2] == pytest.approx(np.full((2, 10), 0.8)), "independent windows would have 0.9 and 0.65"
    assert found[2] == pytest.approx(np.repeat([1.0, 1.0 - 0.75**2], [2, 8]))


def test_rungs_take_whole_clusters() -> None:
    """Seven of nine clusters of one, two and three items, laid out apart."""
    codes = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 4, 5, 7, 8, 2, 5, 8])
    choice = Choice(np.array([8, 1, 4, 0, 2, 3, 5]), np.full(9, 7 / 9)).opened(codes)
    assert choice.size == 7
    assert choice.probabilities == pytest.approx(np.full(len(choice.rows), 7 / 9))
    first = choice.prefix(5)
    assert {int(code) for code in codes[first.rows]} == {8, 1, 4, 0, 2}
    assert first.probabilities == pytest.approx(np.full(11, 7 / 9 * 5 / 7))
    whole = choice.prefix(7)
    assert whole.rows.tolist() == [row for row in range(18) if codes[row] in (8, 1, 4, 0, 2, 3, 5)]
    values = np.arange(18.0)[None, whole.rows]
    means = whole.means(values)
    assert means[0] == pytest.approx([0.0, 5.0, 9.0, 3.0, 7.5, 11.0, 13.0]), "in the order of first items"
    assert whole.weights == pytest.approx(np.array([1, 2, 3, 1, 2, 3, 3]) * 9 / 7)
    assert (means[0] * whole.weights).sum() / whole.weights.sum() == pytest.approx(values.mean())


@pytest.mark.parametrize("policy", policies.names())
def test_a_window_takes_whole_clusters(policy: str) -> None:
    """As many as hold so many items on average, each with its own probability."""
    pool = {"t": tuple(f"i{n}" for n in range(24))}
    clusters = {f"i{n}": f"passage {n % 8}" for n in range(20)}
    allocator = Allocator(AllocationSettings(policy, items=8), {**pool, "python": ("",)}, clusters)
    codes = allocator.codes["t"]
    assert int(codes.max()) + 1 == 12, "eight passages, and four items that stand alone"
    values = np.random.default_rng(3).integers(0, 2, (6, 24)).astype(float)
    answers = TaskAnswers(values, [np.flatnonzero(codes < 4)], np.ones(6, dtype=bool))
    choice = allocator.window(History(1, {"t": answers}, np.zeros((6, 2)))).choices["t"]
    asked = set(codes[choice.rows].tolist())
    assert len(asked) == 4
    assert sorted(choice.rows.tolist()) == np.flatnonzero(np.isin(codes, list(asked))).tolist()
    for code in range(12):
        assert len(set(choice.inclusion[codes == code].tolist())) == 1
    chances = [choice.inclusion[codes == code][0] for code in range(12)]
    assert sum(chances) == pytest.approx(4.0)


def test_an_error_counts_clusters() -> None:
    """Twelve answers in four clusters of equal ones say what four answers say."""
    single = np.array([[1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0]])
    pool = {"t": tuple(f"i{n}" for n in range(24))}
    codes = np.arange(24) // 3
    found = Window(pool, {"t": Choice(np.arange(4), np.full(8, 0.5)).opened(codes)}, {}).rungs(1)[0]
    parts = [
        Part(found.choices["t"].means(np.repeat(single, 3, axis=1)), found.weights["t"], 8),
        Part(single, np.full(4, 2.0), 8),
    ]
    for one, other in zip(*(differences([part]) for part in parts), strict=True):
        assert one == pytest.approx(other)


def test_windows_grow_with_the_noise() -> None:
    """By hand: candidates differ by item alone in 4 of 4 cells, so noise is 1/3 and the spread of means 0."""
    alike = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    assert grown(alike, 4, 6, 100) == 12, "twice as many at most"
    assert grown(alike, 4, 6, 9) == 9
    # Means 0, 1, 2 with residuals of +-0.1: noise 6 * 0.01 / 2 = 0.03, spread 1 - 0.015, 0.03 / (0.25 * 0.985) < 4.
    apart = np.array([[0.1, -0.1], [0.9, 1.1], [2.0, 2.0]])
    assert grown(apart, 4, 4, 100) == 4
    assert grown(np.full((3, 2), math.nan), 4, 6, 100) == 6, "nothing is known, and windows do not shrink"


def test_an_estimate_by_hand() -> None:
    """Answers 1, 0 of weights 3, 1 among 8 items: mean 3/4; the shares' residuals are 3/16 and -3/16."""
    found = estimate(np.array([[1.0, 0.0, math.nan]]), np.array([[3.0, 1.0, 0.0]]), 8)
    assert found.value.tolist() == [0.75]
    assert found.se[0] == pytest.approx(math.sqrt(2 * (3 / 16) ** 2 * 2 * (1 - 2 / 8)))
    assert estimate(np.ones((1, 3)), np.ones((1, 3)), 3).se.tolist() == [0.0], "nothing is left to chance"
    unanimous = estimate(np.array([[1.0, 1.0], [1.0, 0.0]]), np.ones((2, 2)), None)
    assert unanimous.se[0] == pytest.approx(math.sqrt(3 / (16 * 5))), "the posterior under a uniform prior"


def test_who_left_early_is_told_what_is_comparable() -> None:
    """The second rung is harder by 0.5 for those who went on, so who left is told 0.5 more than it had."""
    first = Part(np.array([[0.0, 0.0], [0.5, 0.5], [1.0, 1.0], [0.0, 1.0]]), np.ones(2))
    second = Part(np.array([[0.0, 0.0, 1.0, 1.0], [0.5, 0.5, 1.0, 1.0]]), np.ones(4))
    value, _ = joined([(np.arange(4), [first])], 5)
    assert value[:4].tolist() == [0.0, 0.5, 1.0, 0.5]
    assert np.isnan(value[4])
    raced, wider = joined([(np.arange(4), [first]), (np.array([0, 1]), [second])], 4)
    gaps = raced[2] - raced[:2]
    assert gaps[0] > gaps[1] > 0.0
    assert raced[0] == pytest.approx(0.5, abs=0.3), "0.5, drawn towards the others"
    assert (wider > 0.0).all()
    exact, none = joined([(np.arange(2), [Part(np.array([[2.0], [3.0]]), np.ones(1), exact=True)])], 2)
    assert (exact.tolist(), none.tolist()) == ([2.0, 3.0], [0.0, 0.0])


def test_estimates_of_different_precision_are_drawn_to_their_group() -> None:
    """By hand: of values 0, 2, 4 with errors 1, the variance is 4 and of the truth 3, so 3/4 of a distance is left."""
    value, se = np.array([0.0, 2.0, 4.0, 7.0]), np.ones(4)
    groups = np.array([0, 0, 0, 1])
    assert levelled(value, se, np.full(4, 20), groups).tolist() == value.tolist(), "all have answered as much"
    assert levelled(value, se, np.array([20, 20, 20, 40]), groups) == pytest.approx([0.5, 2.0, 3.5, 7.0])
    # Errors of 0.5 and sqrt(1.75) are 1 on average of their squares, so equals keep their order.
    unequal = np.array([0.5, 1.0, math.sqrt(1.75), 1.0])
    assert levelled(value, unequal, np.array([20, 20, 20, 40]), groups) == pytest.approx([0.5, 2.0, 3.5, 7.0])
