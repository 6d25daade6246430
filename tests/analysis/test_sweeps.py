"""Statistics over the runs of a sweep, against values worked by hand and independent formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evomerge.analysis.sweeps import attainment_surface, importance, paired_by, spread


def test_surfaces_of_two_fronts_by_hand() -> None:
    first = [[1.0, 4.0], [3.0, 2.0]]
    second = [[2.0, 3.0], [4.0, 1.0]]
    assert attainment_surface([first, second], 0.5).tolist() == [[1, 4], [2, 3], [3, 2], [4, 1]]  # either of them
    assert attainment_surface([first, second], 1.0).tolist() == [[2, 4], [3, 3], [4, 2]]  # both
    assert attainment_surface([first], 0.25).tolist() == first
    assert attainment_surface([first, second, []], 0.5).tolist() == [[2, 4], [3, 3], [4, 2]]
    assert len(attainment_surface([first, [], []], 0.75)) == 0
    with pytest.raises(ValueError, match="share"):
        attainment_surface([first], 0.0)


def test_surfaces_count_the_runs_that_reach_a_point() -> None:
    rng = np.random.default_rng(3)
    fronts = [rng.random((int(rng.integers(1, 9)), 2)) for _ in range(7)]
    probes = np.concatenate([rng.random((300, 2)), *fronts])
    reached = np.stack([(front[None] <= probes[:, None]).all(2).any(1) for front in fronts]).mean(0)
    for share in (0.25, 0.5, 0.75, 1.0):
        surface = attainment_surface(fronts, share)
        assert ((surface[None] <= probes[:, None]).all(2).any(1) == (reached >= share)).all()


def test_spread_by_hand() -> None:
    found = spread([1.0, 3.0, math.nan, 5.0], higher_is_better=False)
    assert (found.n, found.mean, found.sd, found.best) == (3, 3.0, 2.0, 1.0)
    assert math.isnan(spread([1.0], True).sd)
    assert spread([], True).n == 0


def test_differences_are_paired_by_seed_and_hold_together() -> None:
    first, second = {"0": 3.0, "1": 5.0, "2": 9.0}, {"1": 4.0, "0": 1.0, "7": 0.0}
    found = paired_by(first, second)
    assert found is not None
    assert found.mean == 1.5
    assert found.high - found.mean == pytest.approx(12.7062 * math.sqrt(0.5 / 2), rel=1e-4)  # t of 1 degree, 95 %
    together = paired_by(first, second, comparisons=5)
    assert together is not None
    assert together.high - together.mean == pytest.approx(63.6567 * math.sqrt(0.5 / 2), rel=1e-4)  # 99 %
    assert paired_by(first, {"0": 1.0}) is None


def test_variance_taken_apart_by_hand() -> None:
    """Two methods by four seeds: sums of squares of method 32, seeds 20, rest 2; total 54."""
    levels = [(method, seed) for method in (0, 1) for seed in range(4)]
    seeds = (-2.0, -1.0, 1.0, 2.0)
    extra = {(0, 0): 0.5, (1, 0): -0.5, (0, 1): -0.5, (1, 1): 0.5, (0, 2): 0.5, (1, 2): -0.5, (0, 3): -0.5, (1, 3): 0.5}
    values = [4.0 * method + seeds[seed] + extra[method, seed] for method, seed in levels]
    found = importance(levels, values, block=1)
    assert found is not None
    assert [(e.columns, e.degrees) for e in found.effects] == [((0,), 1), ((1,), 3)]
    assert found.block
    assert found.degrees == 3
    noise = 2.0 / 3
    assert [e.share for e in found.effects] == pytest.approx([(32 - noise) / 54, (20 - 3 * noise) / 54])
    assert found.rest == pytest.approx(noise * 7 / 54)
    assert sum(e.share for e in found.effects) + found.rest == pytest.approx(1.0)


def test_an_effect_of_two_keys_together_is_no_effect_of_either() -> None:
    levels = [(a, b, seed) for a in (0, 1) for b in (0, 1) for seed in range(3)]
    rng = np.random.default_rng(0)
    values = [float(a != b) + 0.01 * rng.normal() for a, b, _ in levels]
    found = importance(levels, values, block=2)
    assert found is not None
    share = {e.columns: e.share for e in found.effects}
    p = {e.columns: e.p for e in found.effects}
    assert share[0, 1] > 0.99
    assert max(abs(share[0,]), abs(share[1,]), abs(share[2,])) < 0.01
    assert p[0, 1] < 0.01
    assert min(p[0,], p[1,]) > 0.01


def test_chance_alone_is_seldom_called_an_effect() -> None:
    rng = np.random.default_rng(1)
    levels = [(a, seed) for a in range(3) for seed in range(4)]
    found = [importance(levels, rng.normal(size=12), block=1) for _ in range(100)]
    effects = [one.effects[0] for one in found if one is not None]
    assert len(effects) == 100
    assert sum(e.p <= 0.05 for e in effects) <= 11  # 5 expected; 12 or more have a chance of 0.4 %
    assert abs(float(np.mean([e.share for e in effects]))) < 0.06  # nearly unbiased, unlike eta squared


def test_where_it_cannot_be_told() -> None:
    assert importance([(0, 0), (0, 1), (1, 0), (1, 1)], [1.0, 2.0, 3.0, 4.0], block=1) is None  # one degree of noise
    assert importance([(0, s) for s in range(8)], list(range(8)), block=1) is None  # nothing but the seed varies
    assert importance([(a, s) for a in (0, 1) for s in range(5)], [0.25] * 10, block=1) is None
    together = importance([(a, a, s) for a in (0, 1) for s in range(5)], list(range(10)), block=2)
    assert together is not None
    assert [e.degrees for e in together.effects if e.columns in ((0,), (1,))] == [0, 0]  # they always changed together


def test_without_shared_seeds_their_variance_is_noise() -> None:
    """Three seeds of two methods leave two degrees beside both effects, four beside the method's alone."""
    levels = [(method, seed) for method in (0, 1) for seed in range(3)]
    found = importance(levels, [1.0, 2.0, 3.0, 4.0, 5.0, 6.5], block=1)
    assert found is not None
    assert not found.block
    assert found.degrees == 4
