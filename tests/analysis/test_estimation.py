"""Intervals against published tables, against hand work, and against their own promise of coverage."""

import math

import numpy as np
import pytest

from evomerge.analysis import Interval, interval, mean_se, paired_difference, student_quantile, weighted_sum

# Two-sided 95 % and 99 % quantiles of Student's t as printed in every table.
T_TABLE = [
    (1, 12.706, 63.657),
    (2, 4.303, 9.925),
    (5, 2.571, 4.032),
    (10, 2.228, 3.169),
    (30, 2.042, 2.750),
    (120, 1.980, 2.617),
]


@pytest.mark.parametrize(("degrees", "q95", "q99"), T_TABLE)
def test_student_quantiles(degrees: int, q95: float, q99: float) -> None:
    assert student_quantile(0.95, degrees) == pytest.approx(q95, abs=6e-4)
    assert student_quantile(0.99, degrees) == pytest.approx(q99, abs=6e-4)


def test_student_becomes_normal_without_a_step() -> None:
    assert student_quantile(0.95, 9_999) == pytest.approx(student_quantile(0.95, 10_000), abs=3e-4)
    with pytest.raises(ValueError, match="degree of freedom"):
        student_quantile(0.95, 0)
    with pytest.raises(ValueError, match="confidence"):
        student_quantile(1.0, 3)


def test_mean_and_standard_error_by_hand() -> None:
    mean, se = mean_se([1.0, 2.0, 3.0])
    assert mean == pytest.approx(2.0)
    assert se == pytest.approx(1.0 / math.sqrt(3.0))
    assert mean_se([4.0]) == (4.0, math.inf)


def test_wilson_by_hand() -> None:
    """15 of 148: 0.0624 to 0.1605, Newcombe 1998 table I."""
    got = interval([1.0] * 15 + [0.0] * 133, binary=True)
    assert (round(got.low, 4), round(got.high, 4)) == (0.0624, 0.1605)


def test_wilson_keeps_a_width_when_all_agree() -> None:
    got = interval([1.0] * 10, binary=True)
    assert got.high == 1.0
    assert got.low == pytest.approx(10 / (10 + 1.959964**2), abs=1e-6)
    assert interval([0.0], binary=True).high == pytest.approx(1.959964**2 / (1 + 1.959964**2), abs=1e-6)


def test_t_interval_by_hand() -> None:
    got = interval([1.0, 2.0, 3.0], binary=False)
    assert got.high - got.mean == pytest.approx(4.302653 / math.sqrt(3.0), abs=1e-5)
    single = interval([1.5], binary=False)
    assert (single.mean, single.low, single.high) == (1.5, -math.inf, math.inf)
    assert single.to_json() == {"mean": 1.5, "se": None, "low": None, "high": None}


def pairs(only_a: int, only_b: int, same: int) -> tuple[list[float], list[float]]:
    """Answers with the given numbers of discordant and concordant items."""
    both = [float(i % 2) for i in range(same)]
    return [1.0] * only_a + [0.0] * only_b + both, [0.0] * only_a + [1.0] * only_b + both


@pytest.mark.parametrize("counts", [(9, 5, 29), (0, 1, 43), (8, 2, 5), (3, 3, 0)])
def test_paired_limits_solve_the_score_equation(counts: tuple[int, int, int]) -> None:
    """The definition: at either limit the score statistic, with q01 maximising the likelihood on a grid, is 1.96."""
    n = sum(counts)
    got = paired_difference(*pairs(*counts))
    assert got.mean == pytest.approx((counts[0] - counts[1]) / n)
    for delta in (got.low, got.high):
        q01 = np.linspace(max(0.0, -delta), (1.0 - delta) / 2.0, 400_001)[1:-1]
        likelihood = (
            counts[0] * np.log(q01 + delta) + counts[1] * np.log(q01) + counts[2] * np.log(1.0 - 2.0 * q01 - delta)
            if counts[2]
            else counts[0] * np.log(q01 + delta) + counts[1] * np.log(q01)
        )
        best = q01[np.argmax(likelihood)]
        score = (counts[0] - counts[1] - n * delta) / math.sqrt(n * (2.0 * best + delta * (1.0 - delta)))
        assert abs(score) == pytest.approx(1.959964, abs=2e-3)


def test_no_disagreement_is_not_certainty() -> None:
    z2 = 1.959964**2
    for n in (1, 5, 50, 500):
        got = paired_difference([1.0] * n, [1.0] * n)
        assert got.mean == 0.0
        assert got.high == pytest.approx(z2 / (n + z2), abs=1e-6)
        assert got.low == pytest.approx(-got.high)


def test_total_disagreement_is_not_certainty() -> None:
    got = paired_difference([1.0] * 10, [0.0] * 10)
    assert (got.mean, got.high) == (1.0, 1.0)
    assert got.low < 0.6


def test_swapping_the_models_mirrors_the_interval() -> None:
    for counts in [(3, 1, 6), (0, 4, 10), (7, 7, 3), (1, 0, 0)]:
        one, two = pairs(*counts)
        there, back = paired_difference(one, two), paired_difference(two, one)
        assert there.mean == pytest.approx(-back.mean)
        assert there.low == pytest.approx(-back.high, abs=1e-9)
        assert there.high == pytest.approx(-back.low, abs=1e-9)


@pytest.mark.parametrize(
    ("n", "only_a", "only_b"), [(10, 0.2, 0.1), (20, 0.1, 0.02), (50, 0.05, 0.05), (100, 0.3, 0.1), (10, 0.9, 0.05)]
)
def test_paired_difference_covers_the_truth(n: int, only_a: float, only_b: float) -> None:
    rng = np.random.default_rng(n)
    hits = 0
    for _ in range(800):
        a, b = pairs(*rng.multinomial(n, [only_a, only_b, 1 - only_a - only_b]).tolist())
        got = paired_difference(a, b)
        hits += got.low <= only_a - only_b <= got.high
    assert hits / 800 >= 0.93


def test_paired_difference_of_continuous_scores_uses_the_pairing() -> None:
    rng = np.random.default_rng(0)
    difficulty = rng.normal(size=40)
    a, b = difficulty + 0.1 + 0.01 * rng.normal(size=40), difficulty
    got = paired_difference(a, b)
    assert 0.0 < got.low < 0.1 < got.high
    assert got.se < 0.1 * mean_se(a)[1]


def test_differences_that_are_all_the_same_say_nothing_about_their_spread() -> None:
    a = np.array([0.3, 0.4, 0.7, 0.9])
    for shift in (0.1, -1e-3):
        got = paired_difference(a + shift, a)
        assert got.mean == pytest.approx(shift)
        assert (got.low, got.high, got.se) == (-math.inf, math.inf, math.inf)
    for other in (a, a * (1.0 + 1e-15)):  # rounding alone is no difference
        none = paired_difference(other, a)
        assert (none.mean, none.low, none.high) == (0.0, 0.0, 0.0)


def test_weighted_sum_of_symmetric_parts_adds_variances() -> None:
    parts = [Interval(1.0, 0.3, 0.4, 1.6), Interval(2.0, 0.4, 1.2, 2.8)]
    got = weighted_sum(parts, [1.0, -1.0])
    assert got.mean == pytest.approx(-1.0)
    assert got.se == pytest.approx(0.5)
    assert (got.low, got.high) == (pytest.approx(-2.0), pytest.approx(0.0))


def test_weighted_sum_keeps_what_is_bounded() -> None:
    perfect = interval([1.0] * 20, binary=True)
    got = weighted_sum([perfect, perfect], [0.5, 0.5])
    assert got.high == 1.0
    assert perfect.low < got.low < 1.0
    assert weighted_sum([perfect], [1.0]) == perfect


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="one value per item"):
        mean_se([])
    with pytest.raises(ValueError, match="finite"):
        interval([0.5, math.nan], binary=False)
    with pytest.raises(ValueError, match="only 0 and 1"):
        interval([0.5, 1.0], binary=True)
    with pytest.raises(ValueError, match="the same items"):
        paired_difference([1.0], [1.0, 0.0])
    with pytest.raises(ValueError, match="one weight per part"):
        weighted_sum([], [])
