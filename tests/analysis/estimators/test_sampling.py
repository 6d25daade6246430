"""Estimates from samples of items: against hand work, and over every sample that could have been drawn."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from evomerge.analysis.estimators import Answers, estimate
from evomerge.analysis.estimators._shared.ridge import folds

NAN = math.nan
ITEMS = 7


def full_table(rows: int = 7, items: int = ITEMS) -> np.ndarray:
    """Answers that go together, as those of merges of the same models do."""
    draws = np.random.default_rng(5)
    return draws.normal(size=(1, items)) + 0.5 * draws.normal(size=(rows, items)) + draws.normal(size=(rows, 1))


def samples(full: np.ndarray, n: int, **fields: object) -> list[Answers]:
    """One table for each set of n items that the last row may have been asked."""
    tables = []
    for seen in itertools.combinations(range(full.shape[1]), n):
        values = full.copy()
        values[-1, np.setdiff1d(np.arange(full.shape[1]), seen)] = NAN
        tables.append(Answers(values, **fields))
    return tables


def test_mean_by_hand() -> None:
    """Three of ten items, 1, 1 and 0: variance 1/3, of which seven tenths count, over three."""
    values = np.full((1, 10), NAN)
    values[0, [2, 5, 7]] = [1.0, 1.0, 0.0]
    found = estimate("mean", Answers(values))
    assert found.value[0] == pytest.approx(2 / 3)
    assert found.se[0] == pytest.approx(math.sqrt(0.7 * (1 / 3) / 3))
    assert estimate("mean", Answers(values, finite=False)).se[0] == pytest.approx(math.sqrt((1 / 3) / 3))


def test_unequal_chances_by_hand() -> None:
    """Answers 4 and 1 asked with chances 1/2 and 1/4, of six items: inverse chances are 2 and 4."""
    values = np.array([[4.0, 1.0, NAN, NAN, NAN, NAN]])
    answers = Answers(values, inclusion=np.array([0.5, 0.25, 0.3, 0.3, 0.3, 0.35]))
    hajek = estimate("mean", answers)
    assert hajek.value[0] == pytest.approx((2 * 4 + 4 * 1) / 6)
    assert hajek.se[0] == pytest.approx(math.sqrt(2 * (0.5 * (2 / 6 * 2) ** 2 + 0.75 * (4 / 6 * -1) ** 2)))
    plain = estimate("mean", answers, weights="horvitz_thompson")
    assert plain.value[0] == pytest.approx((2 * 4 + 4 * 1) / 6)
    centre = (0.5 * 8 / 6 + 0.75 * 4 / 6) / 1.25
    spread = 0.5 * (8 / 6 - centre) ** 2 + 0.75 * (4 / 6 - centre) ** 2
    assert plain.se[0] == pytest.approx(math.sqrt(2 * spread))


def test_items_asked_for_certain_bring_no_error() -> None:
    values = np.array([[1.0, 0.0, 1.0, 0.0, NAN, NAN]])
    chances = np.array([1.0, 1.0, 0.5, 0.5, 0.5, 0.5])
    found = estimate("mean", Answers(values, inclusion=chances))
    shares = np.array([1, 1, 2, 2]) / 6
    parts = shares[2:] * (values[0, 2:4] - shares @ values[0, :4])
    assert found.se[0] == pytest.approx(math.sqrt(4 / 3 * 0.5 * (parts**2).sum()))


def test_unanimity_keeps_the_variance_of_the_next_answer() -> None:
    """Ten of forty items right: (n + 1) / (n + 2)**2 over n, three quarters of it; above a quarter of n squared."""
    values = np.full((1, 40), NAN)
    values[0, :10] = 1.0
    found = estimate("mean", Answers(values))
    assert found.se[0] == pytest.approx(math.sqrt(0.75 * 11 / 144 / 10))
    assert found.se[0] ** 2 > 0.75 / (4 * 10) / 10
    interval = found.interval(0)
    assert interval.high == 1.0
    assert 0.5 < interval.low < 0.8


def test_equal_answers_of_any_size_are_not_certain_either() -> None:
    """In units of the table's range, here 2."""
    values = np.array([[0.5, 0.5, 0.5, 0.5, NAN, NAN, NAN, NAN], [-1.0, 1.0, 0, 0, 0, 0, 0, 0]])
    assert estimate("mean", Answers(values)).se[0] == pytest.approx(2 * math.sqrt(0.5 * 5 / 36 / 4))
    one = np.where(np.arange(8) < 1, values, NAN)
    assert np.isinf(estimate("mean", Answers(one)).se[0])


def test_clusters_by_hand() -> None:
    """Two clusters of two items each, of eight items: sums of distances to the mean 5/8 are 3/4 and -3/4, over four."""
    values = np.array([[1.0, 1.0, 0.5, 0.0, NAN, NAN, NAN, NAN]])
    found = estimate("mean", Answers(values, clusters=np.array([4, 4, 9, 9, 1, 1, 2, 2])))
    assert found.value[0] == 0.625
    assert found.counts[0] == 2
    assert found.se[0] == pytest.approx(math.sqrt(2 * 0.5 * 2 * (0.75 / 4) ** 2))


def test_strata_by_hand() -> None:
    """Means 3 and 10 of strata of six and four items; of each two were asked."""
    values = np.array([[2.0, 4.0, NAN, NAN, NAN, NAN, 9.0, 11.0, NAN, NAN]])
    strata = np.array([0] * 6 + [1] * 4)
    chances = np.where(strata == 0, 2 / 6, 2 / 4)
    found = estimate("stratified", Answers(values, inclusion=chances, strata=strata))
    assert found.value[0] == pytest.approx(0.6 * 3 + 0.4 * 10)
    assert found.se[0] ** 2 == pytest.approx(0.36 * (4 / 6) * 2 / 2 + 0.16 * (2 / 4) * 2 / 2)


def test_strata_without_answers_are_joined() -> None:
    """Rather than left out: the middle stratum counts with the first, a single answer with what comes before."""
    values = np.array([[2.0, 4.0, NAN, NAN, 7.0, NAN]])
    found = estimate("stratified", Answers(values, strata=np.array([0, 0, 1, 1, 2, 2])))
    assert found.value[0] == pytest.approx(np.mean([2.0, 4.0, 7.0]))


@pytest.mark.parametrize("name", ["mean", "control_variate"])
def test_no_sample_biases_and_the_variance_is_that_of_samples(name: str) -> None:
    """Over all 35 sets of four of seven items; the squared standard error is the variance on average."""
    full = full_table()
    found = [estimate(name, answers, [6]) for answers in samples(full, 4)]
    values = np.array([one.value[0] for one in found])
    assert values.mean() == pytest.approx(full[6].mean(), abs=1e-12)
    assert np.mean([one.se[0] ** 2 for one in found]) == pytest.approx(values.var(), rel=1e-9)


def test_the_control_variate_says_less_error_where_difficulty_says_much() -> None:
    full = full_table()
    plain, better = (
        np.var([estimate(name, answers, [6]).value[0] for answers in samples(full, 4)])
        for name in ("mean", "control_variate")
    )
    assert better < 0.6 * plain


def test_aipw_is_unbiased_over_samples_and_partitions() -> None:
    """All sets of four of seven items, and the three ways to halve four, whatever the regression says."""
    full = full_table()
    seeds: dict[bytes, int] = {}
    for seed in range(100):
        seeds.setdefault(min(part.tobytes() for part in folds(np.arange(4), 2, seed)), seed)
    assert len(seeds) == 3
    found = [
        estimate("aipw", answers, [6], folds=2, seed=seed, penalty=0.5).value[0]
        for answers in samples(full, 4)
        for seed in seeds.values()
    ]
    assert np.mean(found) == pytest.approx(full[6].mean(), abs=1e-12)
    plain = np.var([estimate("mean", answers, [6]).value[0] for answers in samples(full, 4)])
    assert np.var(found) > 1e-6
    assert np.var(found) != pytest.approx(plain, rel=0.01)


def test_aipw_by_hand() -> None:
    """Two parts of two answers, each predicted by the line through the others, with a penalty that changes nothing."""
    draws = np.random.default_rng(0)
    sources = np.repeat(draws.random((1, 6)), 5, axis=0)
    values = np.concatenate([sources, [[0.3, 0.9, 0.1, 0.5, NAN, NAN]]])
    found = estimate("aipw", Answers(values), [5], folds=2, penalty=1e-6)
    x, y = sources[0], values[5]
    total = 0.0
    for part in folds(np.arange(4), 2, 0):
        kept = np.setdiff1d(np.arange(4), part)
        slope = (y[kept[1]] - y[kept[0]]) / (x[kept[1]] - x[kept[0]])
        line = y[kept[0]] + slope * (x - x[kept[0]])
        rest = np.setdiff1d(np.arange(6), kept)
        total += (y[kept].sum() + line[rest].sum() + 4 * np.mean(y[part] - line[part])) / 6
    assert found.value[0] == pytest.approx(total / 2, abs=1e-4)


def test_horvitz_thompson_is_unbiased_under_a_design_of_unequal_chances() -> None:
    """Nine designs of two of five items, drawn with chances of their own; Hájek's weights are nearly so."""
    full = full_table(1, 5)
    pairs = list(itertools.combinations(range(5), 2))
    chances = np.random.default_rng(1).dirichlet(np.ones(len(pairs)))
    inclusion = np.array([sum(p for p, pair in zip(chances, pairs, strict=True) if i in pair) for i in range(5)])
    tables = samples(full, 2, inclusion=inclusion)
    found = [estimate("mean", answers, [0], weights="horvitz_thompson").value[0] for answers in tables]
    assert chances @ np.array(found) == pytest.approx(full.mean(), abs=1e-12)


def test_stratified_is_unbiased_under_its_design() -> None:
    """Two of each of two strata, all 18 ways."""
    full, strata = full_table(), np.array([0, 0, 0, 1, 1, 1, 1])
    chances = np.where(strata == 0, 2 / 3, 2 / 4)
    found = []
    for answers in samples(full, 4, strata=strata):
        if answers.asked[-1][:3].sum() == 2:
            found.append(estimate("stratified", replace(answers, inclusion=chances), [6]))
    values = np.array([one.value[0] for one in found])
    assert len(found) == 18
    assert values.mean() == pytest.approx(full[6].mean(), abs=1e-12)
    assert np.mean([one.se[0] ** 2 for one in found]) == pytest.approx(values.var(), rel=1e-9)


def test_bad_tables_are_refused_with_everything_that_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"genomes of 2 candidates.*number per item in strata.*rows below 2"):
        Answers(np.zeros((2, 3)), genomes=np.zeros((1, 4)), strata=np.zeros(2, dtype=int), experts=(2,))
    with pytest.raises(ValueError, match="above 0 and up to 1"):
        Answers(np.zeros((2, 3)), inclusion=np.array([0.5, 0.0, 1.0]))
    with pytest.raises(ValueError, match="infinities"):
        Answers(np.array([[0.0, np.inf]]))
    with pytest.raises(ValueError, match="shape"):
        Answers(np.zeros(3))
