"""Karcher means, by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from evomerge.contracts.method_cases import family
from evomerge.errors import InputError
from tests.methods.one_tensor import merge


def mean(models: list[torch.Tensor], weights: tuple[float, ...] | None = None, **options: Any) -> torch.Tensor:
    values = {"weight": weights or (1.0,) * len(models)}
    return merge(("karcher", tuple(options.items())), models, None, values)


def at(degrees: float, length: float = 1.0) -> torch.Tensor:
    return length * torch.tensor([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))])


def test_on_a_circle_it_is_the_mean_angle_and_the_mean_length() -> None:
    # Angles of 0, 10 and 80 degrees: the mean of the unit vectors points elsewhere (28.2 degrees).
    got = mean([at(0, 1.0), at(10, 2.0), at(80, 6.0)], max_iter=50, tol=1e-9)
    torch.testing.assert_close(got, at(30, 3.0))
    got = mean([at(0, 1.0), at(10, 2.0), at(80, 6.0)], (2.0, 1.0, 1.0), max_iter=50, tol=1e-9)
    torch.testing.assert_close(got, at(22.5, 2.5))
    assert torch.atan2(*mean([at(0), at(10), at(80)], max_iter=0).flip(0)).rad2deg() == pytest.approx(28.22, abs=0.01)


def test_no_step_is_left_at_the_mean() -> None:
    _, models = family(4)
    got = mean(models, max_iter=100, tol=1e-12).double().flatten()
    point, step = got / got.norm(), torch.zeros_like(got)
    for model in models:
        unit = model.double().flatten() / model.double().norm()
        along = unit @ point
        step += along.acos() / along.acos().sin() * (unit - along * point)
    assert step.norm() < 1e-5
    assert float(got.norm()) == pytest.approx(sum(float(model.norm()) for model in models) / 4)


def test_two_models_are_half_way() -> None:
    # The mean length times slerp of the unit vectors at one half.
    torch.testing.assert_close(mean([at(20, 1.0), at(80, 3.0)]), at(50, 2.0))


def test_opposite_models_are_as_good_as_each_other() -> None:
    torch.testing.assert_close(mean([at(0, 1.0), at(180, 3.0)]), at(0, 2.0))


def test_zeros_have_no_direction() -> None:
    zeros = torch.zeros(2)
    torch.testing.assert_close(mean([at(30, 4.0), zeros]), at(30, 2.0))
    assert torch.equal(mean([zeros, zeros]), zeros)
    assert torch.equal(mean([zeros, at(30)], (1.0, 0.0)), zeros)
    # Too short to have one: averaged, not lost.
    torch.testing.assert_close(mean([at(0, 1e-6), at(90, 1e-6)]), torch.tensor([5e-7, 5e-7]), rtol=1e-5, atol=0)


def test_weights_that_sum_to_zero_are_refused() -> None:
    with pytest.raises(InputError, match=r"karcher: the weights of tensor '.*' sum to zero"):
        mean([at(0), at(90)], (0.0, 0.0))
