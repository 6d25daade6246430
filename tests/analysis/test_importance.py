"""Importance of inputs on functions whose dependence is known."""

import numpy as np
import pytest

from evomerge.analysis.importance import importance, importances
from evomerge.analysis.importance.kernel_ridge import Fit, Grid, Smoothness
from evomerge.analysis.importance.permuted import LEAST_POINTS

GROUPS = {"peak": (0,), "line": (1,), "idle": (2, 3)}


def drawn(n: int = 100, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """A peak within the first input, a slope in the second, nothing in the others; batches of ten."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(n, 4))
    y = -4.0 * (X[:, 0] - 0.5) ** 2 + 0.5 * X[:, 1] + rng.normal(scale=0.02, size=n)
    return X, y, [row // 10 for row in range(n)]


def test_the_inputs_that_matter_are_found_with_their_uncertainty() -> None:
    X, y, batches = drawn()
    found = importance(X, y, GROUPS, batches)
    assert found is not None
    assert found.told
    assert found.explained.mean > 0.8
    assert found.points == 100
    peak, line, idle = (found.shares[name] for name in GROUPS)
    assert min(peak.used.low, line.used.low, peak.own.low, line.own.low) > 0.0
    assert idle.used.mean < 0.05
    assert idle.own.low < 0.05
    # Variances of 4 (x - 1/2)^2 and x / 2 of uniform x are 16/180 and 1/48: .81 and .19 of their sum.
    assert peak.used.mean == pytest.approx(0.81, abs=0.12)
    assert line.used.mean == pytest.approx(0.19, abs=0.06)
    assert abs(peak.trend) < 0.3 < line.trend, "the best is in the middle"


def test_order_and_units_of_scores_say_nothing() -> None:
    X, y, batches = drawn()
    plain, bent = importance(X, y, GROUPS, batches), importance(X * 100 - 7, np.exp(3 * y), GROUPS, batches)
    assert plain is not None
    assert bent is not None
    assert bent.shares["peak"].used.mean == pytest.approx(plain.shares["peak"].used.mean, rel=1e-6)


def test_inputs_that_move_together_share_what_they_explain() -> None:
    X, y, batches = drawn()
    twin = np.concatenate([X, X[:, :1] + np.random.default_rng(1).normal(scale=0.02, size=(100, 1))], axis=1)
    found = importance(twin, y, GROUPS | {"twin": (4,)}, batches)
    assert found is not None
    for name in ("peak", "twin"):
        assert found.shares[name].used.mean > 0.1
        assert found.shares[name].own.mean < 0.05, "the other stands in for it"


def test_noise_is_said_to_explain_nothing() -> None:
    X, _, batches = drawn()
    for seed in range(5):
        found = importance(X, np.random.default_rng(seed).normal(size=100), GROUPS, batches)
        assert found is not None
        assert not found.told


def test_several_scores_are_taken_apart_as_each_alone() -> None:
    X, y, batches = drawn()
    scores = {"peaked": y, "still": np.zeros(100), "squared": X[:, 1] ** 2}
    found = importances(X, scores, GROUPS, batches)
    assert found == {name: importance(X, values, GROUPS, batches) for name, values in scores.items()}
    assert [name for name, known in found.items() if known is None] == ["still"]


def test_what_cannot_be_looked_at() -> None:
    X, y, batches = drawn()
    few = LEAST_POINTS - 1
    assert importance(X[:few], y[:few], GROUPS, batches[:few]) is None
    assert importance(X, np.zeros(100), GROUPS, batches) is None
    assert importance(np.ones((100, 4)), y, GROUPS, batches) is None
    assert importance(np.zeros((0, 4)), [], GROUPS, []) is None
    still = importance(np.where(np.arange(4) == 2, 0.5, X), y, {"peak": (0,), "still": (2,)}, batches)
    assert still is not None
    assert list(still.shares) == ["peak"]
    alone = importance(X, y, GROUPS, [0] * 100)
    assert alone is not None
    assert alone.told, "of few batches each point stands alone"


def test_the_fit_is_the_textbooks_and_its_settings_are_those_of_points_left_out() -> None:
    X, y, _ = drawn(30)
    smooth = Smoothness(1.0, 0.1)
    wanted = X[:5] + 0.01
    kernel = np.exp(-0.5 * ((X[:, None] - X[None]) ** 2).mean(axis=2))
    weights = np.linalg.inv(kernel + 0.1 * np.eye(30)) @ (y - y.mean())
    by_hand = y.mean() + np.exp(-0.5 * ((wanted[:, None] - X[None]) ** 2).mean(axis=2)) @ weights
    assert Fit(X, y, smooth).predict(wanted) == pytest.approx(by_hand)

    def left_out(smooth: Smoothness) -> float:
        moved = y - y.mean()  # whose mean is not taken again, as in the formula
        total = 0.0
        for row in range(30):
            rest = np.delete(np.arange(30), row)
            kernel = np.exp(-0.5 * ((X[:, None] - X[None]) ** 2).mean(axis=2) / smooth.scale**2)
            inner = kernel[np.ix_(rest, rest)] + smooth.penalty * np.eye(29)
            total += float(moved[row] - kernel[row, rest] @ np.linalg.solve(inner, moved[rest])) ** 2
        return total

    grid = [Smoothness(s, 10.0**p) for s in (0.5, 1.0, 2.0, 4.0) for p in (-2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1)]
    assert Grid(X).chosen(y) == min(grid, key=left_out)
