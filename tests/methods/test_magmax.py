"""MagMax, by hand."""

from __future__ import annotations

import torch

from evomerge.contracts.method_cases import same_bits
from tests.methods.one_tensor import merge

BASE = torch.tensor([10.0, 10.0, 10.0, 10.0, -0.0])
MODELS = [BASE + torch.tensor([1.0, -3.0, 2.0, 0.0, 0.0]), BASE + torch.tensor([-2.0, 1.0, -2.0, 0.5, 0.0])]


def merged(weights: tuple[float, float], scale: float = 1.0) -> torch.Tensor:
    return merge(("magmax", ()), MODELS, BASE, {"weight": weights, "lambda": scale})


def test_the_largest_magnitude_wins_and_of_equal_ones_the_later() -> None:
    assert (merged((1.0, 1.0)) - BASE).tolist() == [-2.0, -3.0, -2.0, 0.5, 0.0]
    assert (merged((1.0, 1.0), 0.5) - BASE).tolist() == [-1.0, -1.5, -1.0, 0.25, 0.0]


def test_the_order_decides_between_equal_magnitudes() -> None:
    turned = merge(("magmax", ()), MODELS[::-1], BASE, {"weight": (1.0, 1.0), "lambda": 1.0})
    assert (turned - BASE).tolist() == [-2.0, -3.0, 2.0, 0.5, 0.0]


def test_weights_count_before_magnitudes_are_compared() -> None:
    assert (merged((1.0, 0.25)) - BASE).tolist() == [1.0, -3.0, 2.0, 0.125, 0.0]
    assert torch.equal(merged((1.0, 0.0)), MODELS[0])  # weight 0 takes no part


def test_zeros_of_the_base_keep_their_sign() -> None:
    assert same_bits(merged((1.0, 1.0))[-1], torch.tensor(-0.0))
