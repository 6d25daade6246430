"""The surrogate of the genome, and its combination with an estimate, against explicit refits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evomerge.analysis.estimators import Answers, estimate
from evomerge.analysis.estimators._shared import surrogate
from evomerge.analysis.estimators._shared.features import features
from evomerge.contracts.estimator import landscape

NAN = math.nan


def solved(design: np.ndarray, target: np.ndarray, weights: np.ndarray, penalty: float) -> np.ndarray:
    """Weighted ridge as least squares on a longer table, the intercept free."""
    rows = np.sqrt(weights)[:, None] * design
    free = math.sqrt(penalty) * np.eye(design.shape[1])[1:]
    table = np.concatenate([rows, free])
    return np.linalg.lstsq(table, np.concatenate([np.sqrt(weights) * target, np.zeros(len(free))]), rcond=None)[0]


def test_leaving_one_out_is_what_a_fit_without_it_gives() -> None:
    draws = np.random.default_rng(0)
    design = np.concatenate([np.ones((9, 1)), draws.normal(size=(9, 3))], axis=1)
    target, weights = draws.normal(size=9), draws.uniform(0.5, 2.0, 9)
    fit = surrogate._fit(design, target, weights, 0.7)
    assert fit.coefficients == pytest.approx(solved(design, target, weights, 0.7), abs=1e-6)
    for row in range(9):
        others = np.arange(9) != row
        without = solved(design[others], target[others], weights[others], 0.7)
        assert fit.residuals[row] == pytest.approx(target[row] - design[row] @ without, abs=1e-6)
        assert fit.without[row] == pytest.approx(without - fit.coefficients, abs=1e-6)


def test_features_are_genes_and_squares_of_unit_spread() -> None:
    genomes = np.array([[0.0, 0.5], [1.0, 0.5], [0.5, 0.5], [NAN, NAN]])
    found = features(genomes)
    assert found[:3, 0] == pytest.approx((genomes[:3, 0] - 0.5) / genomes[:3, 0].std())
    assert found[:3, 2].std() == pytest.approx(1.0)
    assert (found[:3, [1, 3]] == 0.0).all()
    assert np.isnan(found[3]).all()


def test_excess_variance_is_a_posterior_mean() -> None:
    """By a sum over a fine grid; without noise it is near the mean square, below the noise it is small but not 0."""
    draws = np.random.default_rng(1)
    squares, noise = draws.normal(size=40) ** 2, np.zeros(40) + 0.3
    grid = np.linspace(0.0, 1.5 * math.sqrt(squares.mean()), 4001)[1:] ** 2
    chances = np.exp(-0.5 * (np.log(grid[:, None] + noise) + squares / (grid[:, None] + noise)).sum(axis=1))
    wanted = float((chances * grid).sum() / chances.sum())
    assert surrogate.excess_variance(squares, noise) == pytest.approx(wanted, rel=0.01)
    assert surrogate.excess_variance(squares, np.zeros(40)) == pytest.approx(squares.mean(), rel=0.1)
    assert 0.0 < surrogate.excess_variance(squares, np.full(40, 4.0)) < 0.2
    assert surrogate.excess_variance(np.zeros(3), np.zeros(3)) == 0.0


def test_a_prediction_does_not_look_at_its_row() -> None:
    """Other answers of a row change the predictions of the others, not its own."""
    answers = landscape(0)
    values = answers.values.copy()
    seen = ~np.isnan(values[-1])
    values[-1, seen] = 1.0 - values[-1, seen]
    other = Answers(values, genomes=answers.genomes)
    rows = [len(values) - 1, len(values) - 2]
    before, after = (estimate("surrogate", table, rows, scores="mean") for table in (answers, other))
    # The weights of rows follow from their standard errors, which an answer's sign leaves alone.
    assert after.value[0] == pytest.approx(before.value[0], abs=1e-9)
    assert abs(after.value[1] - before.value[1]) > 1e-4


def test_the_error_of_common_items_is_taken_over() -> None:
    """The contribution of a cluster is the derivative of the prediction with respect to the scores, times theirs."""
    answers = landscape(2)
    scores = estimate("mean", answers)
    found = surrogate.predicted(answers, scores, np.array([17]))
    moved = np.zeros(scores.contributions.shape[1])
    step = 1e-4
    for row in range(17):
        value = scores.value.copy()
        value[row] += step
        bumped = surrogate.predicted(answers, scores.__class__(**{**scores.__dict__, "value": value}), np.array([17]))
        moved += (bumped.value[0] - found.value[0]) / step * scores.contributions[row]
    assert found.contributions[0] == pytest.approx(moved, abs=1e-6)
    assert (found.contributions[0] ** 2).sum() > 1e-4


def test_posterior_weighs_by_variances() -> None:
    """Every row on ten items of its own, so that errors are independent: weights are one over the variances.

    That of the estimates is the mean over rows; their own go into the standard error.
    """
    draws = np.random.default_rng(4)
    genomes = draws.random((12, 2))
    values = np.full((12, 120), NAN)
    for row in range(12):
        p = 0.2 + 0.6 * genomes[row, 0]
        values[row, 10 * row : 10 * row + 10] = draws.random(10) < p
    answers = Answers(values, genomes=genomes)
    own, other = estimate("mean", answers), estimate("surrogate", answers, scores="mean")
    found = estimate("posterior", answers, scores="mean")
    first, second = (own.se**2).mean(), other.se**2
    share = (1 / first) / (1 / first + 1 / second)
    assert found.value == pytest.approx(share * own.value + (1 - share) * other.value, abs=1e-9)
    assert found.se == pytest.approx(np.sqrt(share**2 * own.se**2 + (1 - share) ** 2 * second), abs=1e-9)


def test_few_rows_or_no_genomes_leave_the_estimate_alone() -> None:
    answers = landscape(5)
    few = Answers(answers.values[-4:], genomes=answers.genomes[-4:])  # type: ignore[index]
    assert np.isnan(estimate("surrogate", few).value).all()
    assert estimate("posterior", few).value == pytest.approx(estimate("aipw", few).value)
    blank = answers.genomes.copy()  # type: ignore[union-attr]
    blank[3] = NAN
    found = estimate("surrogate", Answers(answers.values, genomes=blank))
    assert np.isnan(found.value[3])
    assert np.isfinite(np.delete(found.value, 3)).all()
