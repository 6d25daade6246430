"""Proportions from free numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.genome.spaces import SHARE, space


def test_uniform_genomes_are_uniform_proportions() -> None:
    """A flat Dirichlet over three models: every share has mean 1/3 and variance 1/18."""
    genome = space((SHARE,), depth="model", own_groups=())
    random = np.random.default_rng(0)
    shares = np.array([genome.decode(random.random(2)).coefficients["weight"][0] for _ in range(4000)])
    assert shares.mean(axis=0) == pytest.approx([1 / 3] * 3, abs=0.015)
    assert shares.var(axis=0) == pytest.approx([1 / 18] * 3, abs=0.005)
