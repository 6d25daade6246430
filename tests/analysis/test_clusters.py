"""Clustered items against hand work, against the mixed-model algebra they come from, and against their promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evomerge.analysis import Stratum, interval, mean_se, paired_difference, stratified_difference, stratified_score
from evomerge.analysis.clusters import Clusters, resamples
from evomerge.analysis.student import student_quantile


def test_clusters_of_one_item_change_no_number() -> None:
    random = np.random.default_rng(0)
    names = [f"c{n}" for n in range(30)]
    for values in (random.normal(size=30), (random.random(30) < 0.7).astype(float), np.ones(30)):
        other = random.permutation(values)
        binary = set(values) <= {0.0, 1.0}
        assert mean_se(values, names) == mean_se(values)
        assert interval(values, binary, clusters=names) == interval(values, binary)
        assert paired_difference(values, other, clusters=names) == paired_difference(values, other)
    assert interval([1.0], True, clusters=["alone"]) == interval([1.0], True)


def test_standard_error_over_clusters_by_hand() -> None:
    """Sums of residuals 2, -1, -1 in clusters of 2, 1 and 1 items: CR2 divides each square by one minus its share."""
    values, clusters = [2.0, 2.0, 0.0, 0.0], ["x", "x", "y", "z"]
    mean, se = mean_se(values, clusters)
    assert mean == 1.0
    assert se == pytest.approx(math.sqrt((2.0**2 / 0.5 + 1.0 / 0.75 + 1.0 / 0.75) / 16))


def test_equal_clusters_that_agree_inside_count_as_their_means() -> None:
    """Five items with one answer are one item: t over the clusters' means, Wilson and Tango over the clusters."""
    clusters = np.repeat(np.arange(6), 5).tolist()
    means = np.array([0.3, 1.2, -0.4, 0.9, 2.0, 0.1])
    got, wanted = interval(np.repeat(means, 5), False, clusters=clusters), interval(means, False)
    assert (got.mean, got.se, got.low, got.high) == pytest.approx((wanted.mean, wanted.se, wanted.low, wanted.high))
    right = np.array([1.0, 0.0, 1.0, 1.0, 1.0, 0.0])
    assert interval(np.repeat(right, 5), True, clusters=clusters).se == pytest.approx(interval(right, True).se)
    # At Student's quantile with five degrees of freedom in the place of the normal one.
    level = math.erf(student_quantile(0.95, 5) / math.sqrt(2.0))
    wilson, tango = interval(right, True, level), paired_difference(right, 1.0 - right, level)
    assert interval(np.repeat(right, 5), True, clusters=clusters).low == pytest.approx(wilson.low, abs=1e-9)
    pair = (np.repeat(right, 5), np.repeat(1.0 - right, 5))
    assert paired_difference(*pair, clusters=clusters).high == pytest.approx(tango.high, abs=1e-6)


def degrees_by_matrices(sizes: list[int], alike: float) -> float:
    """Satterthwaite's degrees of freedom of CR2 for a mean, from its definition: n by n matrices."""
    codes = np.repeat(np.arange(len(sizes)), sizes)
    n = codes.size
    together = codes[:, None] == codes[None, :]
    covariance = np.where(together, alike, 0.0) + (1.0 - alike) * np.eye(n)
    residual = np.eye(n) - np.full((n, n), 1.0 / n)
    forms = []
    for group, size in enumerate(sizes):
        member = (codes == group).astype(float)
        forms.append(residual @ member / math.sqrt(1.0 - size / n) / n)
    gamma = np.array([[a @ covariance @ b for b in forms] for a in forms])
    return float(np.trace(gamma) ** 2 / np.sum(gamma**2))


@pytest.mark.parametrize("sizes", [[3, 3, 3, 3], [1, 2, 7, 4, 1], [20, 1, 1, 1, 1, 1]])
@pytest.mark.parametrize("alike", [0.0, 0.3, 1.0])
def test_degrees_of_freedom_are_those_of_the_definition(sizes: list[int], alike: float) -> None:
    found = Clusters.of(np.repeat(np.arange(len(sizes)), sizes).tolist(), sum(sizes))
    assert found is not None
    assert found._degrees(alike) == pytest.approx(degrees_by_matrices(sizes, alike))


def test_quantiles_between_whole_degrees_of_freedom() -> None:
    """Against the incomplete beta function; never narrower."""
    for degrees, exact, error in ((1.5, 6.016663, 0.03), (2.5, 3.574655, 0.005), (10.5, 2.213840, 1e-4)):
        assert exact <= student_quantile(0.95, degrees) <= exact * (1.0 + error)
    assert student_quantile(0.95, 5.0) == student_quantile(0.95, 5)


def test_one_cluster_says_as_much_as_one_item() -> None:
    values = [1.0, 1.0, 0.0, 1.0]
    assert mean_se(values, "aaaa")[1] == math.inf
    assert interval([2.0, 3.0, 4.0], False, clusters="aaa").high == math.inf
    found = interval(values, True, clusters="aaaa")
    assert found.low < 0.2
    assert found.high > 0.95
    assert not math.isfinite(paired_difference(values, [0.0] * 4, clusters="aaaa").se)


def test_no_disagreement_between_a_few_clusters_is_not_certainty() -> None:
    clusters = np.repeat(np.arange(4), 25).tolist()
    alone, together = interval([1.0] * 100, True), interval([1.0] * 100, True, clusters=clusters)
    assert together.low < 0.4 < 0.9 < alone.low
    assert paired_difference([1.0] * 100, [1.0] * 100, clusters=clusters).high > 0.5


def test_strata_count_their_own_clusters() -> None:
    clusters = tuple("aabbccddee")
    values = np.array([1, 1, 0, 0, 1, 1, 0, 1, 1, 1], dtype=float)
    items = tuple(f"{n}" for n in range(10))
    one = Stratum("t", items, values, 1.0, clusters)
    other = Stratum("t", items, values[::-1].copy(), 1.0, clusters)
    assert stratified_score([one]) == interval(values, True, clusters=clusters)
    assert stratified_difference([one], [other]) == paired_difference(values, values[::-1], clusters=clusters)


def test_labels_must_be_one_per_item() -> None:
    with pytest.raises(ValueError, match="one cluster per item"):
        interval([1.0, 0.0], True, clusters=["a"])


def test_bootstrap_samples_hold_whole_clusters() -> None:
    labels = ["a", "a", "b", "c", "c", "c"]
    counts = resamples(labels, 6, 500, np.random.default_rng(1))
    assert counts.shape == (500, 6)
    assert (counts[:, 0] == counts[:, 1]).all()
    assert (counts[:, 3] == counts[:, 5]).all()
    assert (counts[:, 0] + counts[:, 2] + counts[:, 3] == 3).all()
    assert (resamples(None, 6, 50, np.random.default_rng(1)).sum(axis=1) == 6).all()
    values = np.array([0.0, 0.2, 1.0, 2.0, 2.2, 1.9])
    spread = (counts @ values / counts.sum(axis=1)).std()
    assert spread > 1.5 * (resamples(None, 6, 500, np.random.default_rng(1)) @ values / 6).std()


@pytest.mark.parametrize("count", [4, 10, 40])
def test_intervals_over_clusters_keep_their_promise(count: int) -> None:
    """Where items of a cluster are much alike, intervals that ignore it miss the truth several times too often."""
    random = np.random.default_rng(count)
    codes = np.repeat(np.arange(count), 8)
    labels = codes.tolist()
    hits = np.zeros(3)
    for _ in range(250):
        chances = random.beta(0.75 * 1.5, 0.25 * 1.5, count)[codes]  # a correlation of 0.4 within clusters
        a, b = ((random.random(codes.size) < chances).astype(float) for _ in range(2))
        b *= random.random(count)[codes] < 0.9
        pair, mean, naive = (
            paired_difference(a, b, clusters=labels),
            interval(a, True, clusters=labels),
            interval(a, True),
        )
        hits += (pair.low <= 0.075 <= pair.high, mean.low <= 0.75 <= mean.high, naive.low <= 0.75 <= naive.high)
    assert (hits[:2] / 250 >= 0.92).all()
    assert hits[2] / 250 < 0.8
