"""Curves over depth, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.genome.spaces import LAYERS, A, space


def test_linear_is_a_line() -> None:
    genome = space(models=(A,), depth="linear", own_groups=())
    values = genome.decode([0.25, 0.75, 0.5]).coefficients["weight"][:LAYERS, 0]
    # Bounds -0.5 to 1.5: the ends are 0 and 1.
    assert values == pytest.approx(np.linspace(0.0, 1.0, LAYERS))
    assert genome.labels == ("weight[a] depth 0%", "weight[a] depth 100%", "weight[a] rest")


def test_control_points_are_passed_through() -> None:
    genome = space(models=(A,), depth="smooth", control_points=3, own_groups=(), bounds={"weight": [0.0, 1.0]})
    values = genome.decode([0.2, 0.9, 0.5, 0.1]).coefficients["weight"][:LAYERS, 0]
    assert values == pytest.approx(np.interp(np.linspace(0, 1, LAYERS), [0, 0.5, 1], [0.2, 0.9, 0.5]))


def test_the_cosine_basis_is_a_cosine_series() -> None:
    """As many terms as controls, constant for equal controls, and never beyond the largest control."""
    genome = space(
        models=(A,), depth="smooth", basis="cosine", control_points=3, own_groups=("norm", "embedding", "head"),
        bounds={"weight": [0.0, 1.0]},
    )  # fmt: skip
    layers = [i for i, group in enumerate(genome.groups) if group.layers]
    curve = [i for i, label in enumerate(genome.labels) if "depth" in label]
    x = np.full(genome.n_var, 0.3)
    assert genome.decode(x).coefficients["weight"][layers, 0] == pytest.approx(0.3)
    x[curve] = [1.0, 0.0, 1.0]
    values = genome.decode(x).coefficients["weight"][layers, 0]
    assert 0.0 < values.min() < values.max() < 1.0
    angles = np.linspace(0.0, np.pi, LAYERS)
    series = np.cos(np.outer(angles, np.arange(3)))
    assert np.linalg.lstsq(series, values, rcond=None)[1] == pytest.approx(0.0, abs=1e-20)


def test_a_curve_with_fixed_layers_keeps_its_depth() -> None:
    genome = space(
        models=(A,), depth="linear", own_groups=(), fixed={"layer 2": {"weight": 0.0}}, bounds={"weight": [0, 1]}
    )
    values = genome.decode([0.0, 1.0, 0.5]).coefficients["weight"][:LAYERS, 0]
    assert values == pytest.approx([0.0, 0.2, 0.0, 0.6, 0.8, 1.0])
