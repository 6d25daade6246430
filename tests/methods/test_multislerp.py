"""Barycentres on a sphere, by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from evomerge.contracts.method_cases import family, same_bits
from evomerge.errors import InputError
from tests.methods.one_tensor import merge


def barycentre(
    models: list[torch.Tensor], weights: tuple[float, ...], base: torch.Tensor | None = None, **options: Any
) -> torch.Tensor:
    return merge(("multislerp", tuple(options.items())), models, base, {"weight": weights})


def test_mean_direction_times_mean_length() -> None:
    # The unit vectors are along the axes: with weights 3, 2 and 6 in 11 their mean is (3, 2, 6) / 11, of length 7 / 11.
    models = [torch.tensor([2.0, 0.0, 0.0]), torch.tensor([0.0, 5.0, 0.0]), torch.tensor([0.0, 0.0, 1.0])]
    length = (3 * 2 + 2 * 5 + 6 * 1) / 11
    wanted = torch.tensor([3.0, 2.0, 6.0]) / 7 * length
    torch.testing.assert_close(barycentre(models, (3.0, 2.0, 6.0)), wanted)
    base = torch.tensor([1.0, -1.0, 2.0])
    torch.testing.assert_close(barycentre([base + m for m in models], (3.0, 2.0, 6.0), base), base + wanted)
    # Weights that are not normalised scale the length, not the direction.
    torch.testing.assert_close(barycentre(models, (3.0, 2.0, 6.0), normalise="none"), wanted * 11)


def test_the_tangents_at_the_mean_cancel() -> None:
    """The steps that the rule is told in come to the same."""
    _, models = family(3)
    weights, flats = (0.5, 0.2, 0.3), [model.double().flatten() for model in models]
    units = [own / own.norm() for own in flats]
    mean = sum(w * unit for w, unit in zip(weights, units, strict=True))
    assert isinstance(mean, torch.Tensor)
    mean = mean / mean.norm()
    tangents = [unit - (unit @ mean) * mean for unit in units]
    step = sum(w * own for w, own in zip(weights, tangents, strict=True))
    assert isinstance(step, torch.Tensor)
    size = step.norm() + 1e-8
    point = mean * torch.cos(size) + step * torch.sin(size) / size
    wanted = point * sum(w * own.norm() for w, own in zip(weights, flats, strict=True))
    got = barycentre(models, weights).double().flatten()
    torch.testing.assert_close(got, wanted, rtol=1e-6, atol=1e-7)


def test_two_models_are_half_way_on_the_great_circle() -> None:
    first, second = torch.tensor([1.0, 0.0]), torch.tensor([0.6, 0.8])
    angle = math.acos(0.6) / 2
    torch.testing.assert_close(
        barycentre([first, second], (1.0, 1.0)), torch.tensor([math.cos(angle), math.sin(angle)])
    )


def test_where_directions_cancel_the_sum_is_linear() -> None:
    one = torch.tensor([3.0, 4.0])
    torch.testing.assert_close(barycentre([one, -3 * one], (1.0, 1.0)), -one)
    around = [torch.tensor([math.cos(a), math.sin(a)]) for a in (0.0, 2 * math.pi / 3, 4 * math.pi / 3)]
    assert barycentre([2 * around[0], *around[1:]], (1.0, 1.0, 1.0), eps=1e-6).allclose(around[0] / 3, atol=1e-6)


def test_zeros_and_tensors_that_no_model_changed() -> None:
    zeros, one = torch.zeros(3), torch.tensor([3.0, 0.0, 4.0])
    assert torch.equal(barycentre([zeros] * 3, (1.0, 1.0, 1.0)), zeros)
    base = torch.tensor([-0.0, 1.0, 2.0])
    assert same_bits(barycentre([base] * 3, (0.5, 0.2, 0.3), base), base)
    assert same_bits(barycentre([one] * 3, (0.0, 0.0, 0.0), base), base)
    # A model without a direction has a say in the length alone.
    torch.testing.assert_close(barycentre([one, zeros], (3.0, 1.0)), 0.75 * one)


def test_weights() -> None:
    first, second = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    direction, length = torch.tensor([3.0, -1.0]) / math.sqrt(10), 1.0
    torch.testing.assert_close(barycentre([first, second], (1.5, -0.5)), direction * length)
    with pytest.raises(InputError, match=r"multislerp: the weights of tensor '.*' sum to zero"):
        barycentre([first, second], (1.0, -1.0))
    assert barycentre([first, second], (1.0, -1.0), normalise="none").abs().max() < 1e-7  # the lengths cancel
