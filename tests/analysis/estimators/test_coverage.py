"""Intervals against their own promise: on simulated populations the truth is inside 95 of 100 of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from evomerge.analysis import estimators
from evomerge.analysis.estimators import Answers, Estimates, estimate

ROWS, ITEMS, COMPLETE = 50, 200, 15


def population(seed: int, n: int, common: bool) -> tuple[Answers, np.ndarray]:
    """Merges whose abilities follow from genomes, the first of them known on all items, and their true scores.

    Items differ in difficulty and discrimination; the others were asked n of them, the same ones or each their own.
    """
    draws = np.random.default_rng([seed, n, common])
    genomes = draws.random((ROWS, 4))
    ability = 2.0 * (genomes[:, 0] - genomes[:, 1]) + 0.5 * draws.normal(size=ROWS)
    linear = ability[:, None] * draws.uniform(0.4, 1.6, ITEMS) - 1.2 * draws.normal(size=ITEMS) + 0.3
    values = (draws.random((ROWS, ITEMS)) < 1.0 / (1.0 + np.exp(-linear))).astype(np.float64)
    scores = values.mean(axis=1)
    window = draws.choice(ITEMS, n, replace=False)
    for row in range(COMPLETE, ROWS):
        seen = window if common else draws.choice(ITEMS, n, replace=False)
        values[row, np.setdiff1d(np.arange(ITEMS), seen)] = np.nan
    return Answers(values, genomes=genomes, experts=(0, 1)), scores


def hits(found: Estimates, scores: np.ndarray) -> tuple[list[bool], list[bool]]:
    """Whether intervals hold the truth: those of rows, and those of differences between neighbours."""
    rows = [found.interval(place) for place in range(len(scores))]
    pairs = [found.difference(place, place + 1) for place in range(0, len(scores) - 1, 2)]
    apart = scores[:-1] - scores[1:]
    return (
        [one.low <= truth <= one.high for one, truth in zip(rows, scores, strict=True)],
        [one.low <= truth <= one.high for one, truth in zip(pairs, apart[::2], strict=True)],
    )


def coverage(name: str, n: int, common: bool, repeats: int) -> tuple[float, float]:
    """Shares of intervals of rows and of differences that hold the truth."""
    rows, pairs = [], []
    for seed in range(repeats):
        answers, scores = population(seed, n, common)
        row, pair = hits(estimate(name, answers, range(COMPLETE, ROWS)), scores[COMPLETE:])
        rows += row
        pairs += pair
    return float(np.mean(rows)), float(np.mean(pairs))


@pytest.mark.parametrize("name", ["mean", "stratified", "control_variate", "aipw", "posterior"])
def test_coverage(name: str) -> None:
    """Rows share items, so that ten repeats are few: the bounds are wide."""
    rows, pairs = coverage(name, 20, True, 10)
    assert 0.85 <= rows <= 1.0
    assert 0.9 <= pairs <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("n", [10, 20, 50])
@pytest.mark.parametrize("name", estimators.names())
def test_coverage_over_200_repeats(name: str, n: int) -> None:
    rows, pairs = coverage(name, n, True, 200)
    assert 0.93 <= rows <= 0.99, rows
    assert 0.93 <= pairs <= 0.995, pairs


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mean", "stratified", "control_variate", "aipw", "low_rank", "posterior"])
def test_coverage_on_rotating_items(name: str) -> None:
    rows, pairs = coverage(name, 20, False, 200)
    assert 0.93 <= rows <= 0.985, rows
    assert 0.93 <= pairs <= 0.985, pairs


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mean", "stratified", "control_variate", "aipw", "low_rank"])
def test_no_bias(name: str) -> None:
    """The mean error over 200 windows is within its own standard error, as windows count, of 0."""
    errors = []
    for seed in range(200):
        answers, scores = population(seed, 20, True)
        found = estimate(name, answers, range(COMPLETE, ROWS))
        errors.append(float((found.value - scores[COMPLETE:]).mean()))
    assert abs(np.mean(errors)) < 3.0 * np.std(errors) / np.sqrt(len(errors))


def unequal(seed: int) -> tuple[Answers, np.ndarray]:
    """A population that was asked 30 items, hard ones up to ten times as likely (systematic sampling, random order)."""
    answers, scores = population(seed, ITEMS, True)
    draws = np.random.default_rng(seed)
    values = answers.values.copy()
    size = 0.1 + (1.0 - values[:COMPLETE].mean(axis=0))
    chances = np.minimum(30 * size / size.sum(), 1.0)
    order = draws.permutation(ITEMS)
    marks = np.floor(np.cumsum(chances[order]) + draws.random()).astype(int)
    seen = order[np.flatnonzero(np.diff(marks, prepend=0) > 0)]
    values[COMPLETE:, np.setdiff1d(np.arange(ITEMS), seen)] = np.nan
    return Answers(values, inclusion=chances, genomes=answers.genomes), scores


def clustered(seed: int) -> tuple[Answers, np.ndarray]:
    """A population of 40 passages of five items each, which go together; ten passages were asked."""
    draws = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(40), 5)
    ability = draws.normal(size=(ROWS, 1))
    linear = ability + 1.5 * draws.normal(size=(ROWS, 40))[:, clusters] + 0.5 * draws.normal(size=ITEMS)
    values = (draws.random((ROWS, ITEMS)) < 1.0 / (1.0 + np.exp(-linear))).astype(np.float64)
    scores = values.mean(axis=1)
    seen = np.isin(clusters, draws.choice(40, 10, replace=False))
    values[COMPLETE:, ~seen] = np.nan
    return Answers(values, clusters=clusters, genomes=draws.random((ROWS, 2))), scores


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mean", "stratified", "control_variate", "aipw", "low_rank", "posterior"])
@pytest.mark.parametrize("make", [unequal, clustered])
def test_coverage_of_other_samples(make: Callable[[int], tuple[Answers, np.ndarray]], name: str) -> None:
    rows, pairs, errors = [], [], []
    for seed in range(200):
        answers, scores = make(seed)
        found = estimate(name, answers, range(COMPLETE, ROWS))
        row, pair = hits(found, scores[COMPLETE:])
        rows += row
        pairs += pair
        errors.append(float((found.value - scores[COMPLETE:]).mean()))
    assert 0.925 <= np.mean(rows) <= 0.985
    assert 0.93 <= np.mean(pairs) <= 0.985
    assert abs(np.mean(errors)) < 0.2 * np.std(errors) + 0.002
