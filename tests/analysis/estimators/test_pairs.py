"""Differences between rows of a table."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evomerge.analysis.estimators import Answers, estimate, paired

NAN = math.nan


def test_difference_on_the_same_items_by_hand() -> None:
    """Differences 1, 0, 0 and -1 on four of sixteen items: variance 2/3, three quarters of it over four."""
    values = np.full((2, 16), NAN)
    values[:, :4] = [[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 1.0]]
    found = estimate("mean", Answers(values))
    got = found.difference(0, 1)
    assert got.mean == 0.0
    assert got.se == pytest.approx(math.sqrt(0.75 * (2 / 3) / 4))
    assert got.se**2 == pytest.approx(found.se[0] ** 2 + found.se[1] ** 2 - 2 * found.covariance()[0, 1])
    assert got.high == pytest.approx(3.182446 * got.se, abs=1e-6)


def test_difference_of_partly_shared_items() -> None:
    """By the covariance on the shared ones; those of one row alone add their own variance."""
    draws = np.random.default_rng(0)
    values = draws.normal(size=(2, 30))
    values[0, 12:] = NAN
    values[1, :6] = NAN
    values[1, 20:] = NAN
    found = estimate("mean", Answers(values))
    parts = np.zeros((2, 30))
    for row, seen in enumerate((np.arange(12), np.arange(6, 20))):
        n = len(seen)
        own = values[row, seen]
        parts[row, seen] = (own - own.mean()) / n * math.sqrt((1 - n / 30) * n / (n - 1))
    assert found.difference(0, 1).se == pytest.approx(math.sqrt(((parts[0] - parts[1]) ** 2).sum()))
    assert found.covariance()[0, 1] == pytest.approx((parts[0] * parts[1]).sum())


def test_rows_without_common_items_are_independent() -> None:
    values = np.array([[1.0, 0.0, NAN, NAN, NAN, NAN], [NAN, NAN, 1.0, 0.0, NAN, NAN]])
    found = estimate("mean", Answers(values))
    assert found.difference(0, 1).se == pytest.approx(math.hypot(*found.se))


def test_agreement_is_not_certainty() -> None:
    """Rows that answer alike differ by 0, give or take what the next item may show."""
    values = np.full((2, 40), NAN)
    values[:, :10] = [1, 0, 1, 1, 0, 1, 0, 1, 1, 0]
    got = estimate("mean", Answers(values)).difference(0, 1)
    assert got.mean == 0.0
    assert got.se == pytest.approx(math.sqrt(0.75 * 11 / 144 / 10))


def test_paired_leaves_out_what_one_row_alone_was_asked() -> None:
    """An expert is known on all items, and yet compared on those of the candidate."""
    draws = np.random.default_rng(1)
    values = draws.normal(size=(2, 20))
    values[1] = values[0] + 0.1 * draws.normal(size=20)
    values[1, 5:] = NAN
    got = paired("mean", Answers(values), (0, 1))
    apart = values[0, :5] - values[1, :5]
    assert got.mean == pytest.approx(apart.mean())
    assert got.se == pytest.approx(math.sqrt(0.75 * apart.var(ddof=1) / 5))
    assert got.se < 0.3 * estimate("mean", Answers(values)).difference(0, 1).se


def test_an_unknown_row_has_no_difference() -> None:
    values = np.array([[1.0, 0.0, 1.0], [NAN, NAN, NAN]])
    got = estimate("mean", Answers(values)).difference(0, 1)
    assert (got.se, got.low, got.high) == (math.inf, -math.inf, math.inf)


def test_paired_rows_of_different_rungs_have_the_chances_of_the_shorter() -> None:
    """Four of ten items in both, asked with chances 0.4 of the one and 0.8 of the other, which answered eight."""
    draws = np.random.default_rng(2)
    values = draws.normal(size=(2, 10))
    values[0, 4:] = NAN
    values[1, 8:] = NAN
    chances = np.array([[0.4] * 10, [0.8] * 10])
    got = paired("mean", Answers(values, inclusion=chances), (0, 1))
    apart = values[0, :4] - values[1, :4]
    assert got.se == pytest.approx(math.sqrt(0.6 * apart.var(ddof=1) / 4))
