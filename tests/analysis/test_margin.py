"""Non-inferiority by a margin, against values worked out by hand and the score test written down another way."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from evomerge.analysis import Stratum
from evomerge.analysis.intervals import Interval
from evomerge.analysis.margin import FAILS, HOLDS, OPEN, MarginTest, factor_to_settle, joint_verdicts, margin_test


def pair(only_first: int, only_second: int, both: int, neither: int) -> tuple[list[Stratum], list[Stratum]]:
    """Two models' answers of 0 and 1 to the same items."""
    first = [1.0] * (only_first + both) + [0.0] * (only_second + neither)
    second = [0.0] * only_first + [1.0] * both + [1.0] * only_second + [0.0] * neither
    items = tuple(f"{n:04d}" for n in range(len(first)))
    return [Stratum("t", items, np.array(first), 1.0)], [Stratum("t", items, np.array(second), 1.0)]


def score_p(only_first: int, only_second: int, n: int, delta: float) -> float:
    """One-sided p-value of Tango's score test of "difference = delta", its likelihood maximised on a grid."""
    q01 = np.linspace(max(1e-9, -delta), min(1.0, (1.0 - delta) / 2.0), 400_001)[1:-1]
    q10 = q01 + delta
    rest = n - only_first - only_second
    likelihood = only_first * np.log(q10) + only_second * np.log(q01) + rest * np.log(1.0 - q10 - q01)
    best = q01[np.argmax(likelihood)]
    z = (only_first - only_second - n * delta) / math.sqrt(n * (2.0 * best + delta * (1.0 - delta)))
    return 1.0 - NormalDist().cdf(z)


@pytest.mark.parametrize(("b", "c", "n"), [(10, 14, 120), (30, 24, 200), (4, 30, 150)])
def test_the_p_value_is_that_of_the_score_test_at_the_margin(b: int, c: int, n: int) -> None:
    found = margin_test(*pair(b, c, n // 3, n - b - c - n // 3), 0.05, 1.0)
    assert found is not None
    assert found.difference.mean == pytest.approx((b - c) / n)
    expected = score_p(b, c, n, -0.05)
    assert found.holds == pytest.approx(expected, abs=2e-5)
    assert found.fails == pytest.approx(1.0 - expected, abs=2e-5)
    assert found.level == ((b - c) / n >= -0.05)


def test_where_lower_is_better_the_sign_turns() -> None:
    first, second = pair(10, 14, 40, 56)
    better, worse = margin_test(first, second, 0.05, 1.0), margin_test(second, first, 0.05, -1.0)
    assert better is not None
    assert worse is not None
    ends = [(t.difference.mean, t.difference.low, t.difference.high) for t in (better, worse)]
    assert ends[0] == pytest.approx(ends[1]), "the same two models, read from the other side"
    assert worse.holds == pytest.approx(better.holds)
    assert margin_test(first, pair(1, 1, 1, 1)[0], 0.05, 1.0) is None, "other items"


def objectives(*holds: float, fails: float = 0.9) -> list[MarginTest]:
    return [MarginTest(Interval(0.0, 0.1, -0.2, 0.2), 0.05, p, fails) for p in holds]


def test_a_model_holds_where_all_its_objectives_do_and_models_are_corrected() -> None:
    # Largest p-values 0.012, 0.02 and 0.004: after Holm 2 * 0.012, max(0.024, 0.02) and 3 * 0.004.
    models = [objectives(0.012, 0.001), objectives(0.02, 0.002), objectives(0.004, 0.0)]
    assert joint_verdicts(models) == [HOLDS, HOLDS, HOLDS]
    models[1] = objectives(0.026, 0.002)
    assert joint_verdicts(models) == [HOLDS, OPEN, HOLDS]
    models[0] = objectives(0.013, 0.001)  # 2 * 0.013 is above 0.025
    assert joint_verdicts(models) == [OPEN, OPEN, HOLDS]


def test_a_model_falls_short_where_one_objective_does() -> None:
    short = [objectives(1.0, fails=0.9)[0], objectives(1.0, fails=0.01)[0]]
    assert joint_verdicts([short]) == [FAILS], "2 objectives * 0.01"
    assert joint_verdicts([short, objectives(1.0)]) == [OPEN, OPEN], "2 models * 2 objectives * 0.01"
    assert joint_verdicts([[MarginTest(Interval(0.1, math.inf, -math.inf, math.inf), 0.05, None, None)]]) == [OPEN]
    assert joint_verdicts([]) == []


def test_the_number_of_items_that_would_settle() -> None:
    # Standard error 0.06 / 1.96; wanted is a distance of 0.06 from -0.05 in 1.95996 + 0.84162 standard errors.
    test = MarginTest(Interval(0.01, 0.03, -0.05, 0.07), 0.05, 0.05, 0.95)
    assert factor_to_settle(test) == pytest.approx((0.06 / 1.959964 * (1.959964 + 0.841621) / 0.06) ** 2, rel=1e-5)
    assert factor_to_settle(test, 0.0125) == pytest.approx(((2.241403 + 0.841621) / 1.959964) ** 2, rel=1e-5)
    at_the_margin = MarginTest(Interval(-0.05, 0.03, -0.11, 0.01), 0.05, 0.5, 0.5)
    assert factor_to_settle(at_the_margin) == math.inf
