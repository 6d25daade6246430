"""One model and a scale, by hand."""

from __future__ import annotations

import torch

from evomerge import methods
from evomerge.contracts.method_cases import same_bits
from tests.methods.one_tensor import merge

PASSTHROUGH = ("passthrough", ())


def scaled(model: torch.Tensor, scale: float) -> torch.Tensor:
    return merge(PASSTHROUGH, [model], None, {"scale": scale})


def test_a_scale_multiplies() -> None:
    assert scaled(torch.tensor([1.0, -2.0, 0.0]), 0.5).tolist() == [0.5, -1.0, 0.0]
    assert scaled(torch.tensor([1.0, -2.0, 0.0]), -2).tolist() == [-2.0, 4.0, 0.0]


def test_one_copies_bit_by_bit_and_zero_writes_zeros() -> None:
    model = torch.tensor([[-0.0, 1e-40], [3.0, -7.5]])
    assert same_bits(scaled(model, 1), model)
    assert same_bits(scaled(model, 0), torch.zeros(2, 2))


def test_more_than_one_model_is_refused() -> None:
    assert methods.load("passthrough").input_problems(2, has_base=False) == [
        "method passthrough merges 1 model; the recipe names 2"
    ]
