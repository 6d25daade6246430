"""A proxy ranks only where its ceiling, measured on the candidates, allows."""

from __future__ import annotations

import numpy as np
import pytest

from evomerge.analysis.allocation.proxy import FEWEST, blend, kendall


def test_tau_by_hand() -> None:
    """Of 3 pairs two agree and one does not; with a tie in one of them it is 2 / sqrt(3 * 2)."""
    assert kendall(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])) == pytest.approx(1 / 3)
    assert kendall(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 2.0])) == pytest.approx(2 / 6**0.5)
    assert kendall(np.array([1.0, 2.0]), np.array([5.0, 5.0])) == 0.0


def test_a_proxy_that_agrees_stands_in_for_what_is_wanted() -> None:
    wanted = np.linspace(0.2, 0.8, FEWEST)
    found = blend(wanted, 2.0 * wanted - 3.0)
    assert (found.share, found.ceiling) == (1.0, pytest.approx(1.0))
    assert found(np.zeros(2), np.array([-2.6, -1.4])) == pytest.approx([0.2, 0.8]), "in the units of what is wanted"
    falling = blend(wanted, -wanted)
    assert (falling.share, falling.slope) == (1.0, pytest.approx(-1.0)), "a loss is turned around"


def test_a_proxy_that_agrees_by_half_counts_by_half_and_another_not() -> None:
    wanted = np.arange(30.0)
    shaken = wanted + np.tile([4.0, 0.0, -4.0], 10)
    found = blend(wanted, shaken)
    assert 0.75 <= found.ceiling < 0.9
    assert found.share == 0.5
    assert found(np.zeros(30), shaken) == pytest.approx(0.5 * (found.intercept + found.slope * shaken))
    noise = np.random.default_rng(0).random(30)
    assert blend(wanted, noise).share == 0.0
    assert blend(wanted, noise)(wanted, noise).tolist() == wanted.tolist()


def test_few_candidates_say_nothing() -> None:
    wanted = np.arange(FEWEST - 1.0)
    assert blend(wanted, wanted).share == 0.0
    assert blend(np.arange(40.0), np.ones(40)).share == 0.0
