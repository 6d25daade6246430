"""Kinship of models, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evomerge.analysis import Kinship, Sums


def sums(*deltas: list[float]) -> Sums:
    """Of one tensor whose base is zero."""
    rows = np.array(deltas)
    signs = np.sign(rows)
    both = np.abs(signs) @ np.abs(signs).T
    return Sums(rows.shape[1], 0.0, rows.sum(1), rows @ rows.T, both, (both + signs @ signs.T) / 2)


def test_correlation_takes_off_the_mean_and_the_cosine_has_no_sign() -> None:
    """Deltas (3, 1, 1, -1) and (0, 0, -2, -2): products 12, 8 and 0; off the means 8, 4 and 4."""
    found = sums([3, 1, 1, -1], [0, 0, -2, -2]).kinship()
    assert found.cosine[0, 1] == 0
    assert found.correlation[0, 1] == pytest.approx(4 / math.sqrt(8 * 4))
    assert found.distance[0, 1] == pytest.approx(math.sqrt(12 + 8))
    opposite = sums([1, 2], [-2, -4]).kinship()
    assert opposite.cosine[0, 1] == pytest.approx(1)
    assert opposite.correlation[0, 1] == pytest.approx(-1)


def test_sums_of_tensors_give_the_kinship_of_the_whole() -> None:
    parts = [sums([3, 1], [0, 0]), sums([1, -1], [-2, -2])]
    whole, together = sums([3, 1, 1, -1], [0, 0, -2, -2]), Sums.over(parts)
    for name in ("correlation", "cosine", "distance"):
        assert np.allclose(getattr(together.kinship(), name), getattr(whole.kinship(), name)), name


def test_the_mean_over_tensors_is_weighted_and_leaves_out_those_without_a_value() -> None:
    """Cosines 1 of 2 elements and 0 of 4; the third tensor is nobody's, but has a distance, which is 0."""
    parts = [sums([1, 2], [2, 4]), sums([1, 0, 0, 0], [0, 1, 0, 0]), sums([0] * 6, [0] * 6)]
    found = Kinship.mean([part.kinship() for part in parts], [part.numel for part in parts])
    assert found.cosine[0, 1] == pytest.approx(1 / 3)
    assert found.distance[0, 1] == pytest.approx((2 * math.sqrt(5) + 4 * math.sqrt(2)) / 12)
    assert np.isnan(Kinship.mean([parts[2].kinship()], [6]).cosine[0, 1])


def test_mixtures_of_deltas_are_not_computed() -> None:
    """The kinship of weighted sums is that of the sums themselves."""
    draw = np.random.default_rng(0)
    deltas, mixtures = draw.normal(size=(3, 40)) + 0.3, draw.normal(size=(2, 3))
    found = sums(*deltas.tolist()).kinship(mixtures)
    wanted = sums(*(mixtures @ deltas).tolist()).kinship()
    for name in ("correlation", "cosine", "distance"):
        assert np.allclose(getattr(found, name), getattr(wanted, name)), name


def test_no_elements_and_deltas_of_zero_have_no_kinship() -> None:
    nothing = sums([], []).kinship()
    assert np.isnan(nothing.correlation).all()
    assert np.isnan(nothing.cosine).all()
    assert sums([0, 0], [1, 1]).kinship().distance[0, 1] == pytest.approx(math.sqrt(2))
