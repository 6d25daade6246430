"""Weighted averages, by hand."""

from __future__ import annotations

import pytest
import torch

from evomerge import methods
from evomerge.errors import InputError
from tests.methods.one_tensor import merge

MODELS = [torch.tensor([1.0, -2.0, 0.0]), torch.tensor([3.0, 2.0, 4.0])]


def test_normalised_weights_are_proportions() -> None:
    # (3 * [1, -2, 0] + 1 * [3, 2, 4]) / 4
    assert merge(("linear", ()), MODELS, None, {"weight": (3.0, 1.0)}).tolist() == [1.5, -1.0, 1.0]


def test_free_weights_are_taken_as_they_are() -> None:
    variant = ("linear", (("normalise", "none"),))
    assert merge(variant, MODELS, None, {"weight": (2.0, -0.5)}).tolist() == [0.5, -5.0, -2.0]


def test_one_model_of_weight_one_is_copied_bit_by_bit() -> None:
    model = torch.tensor([0.0, -0.0, 1e-42, 3.14159])
    others = torch.full((4,), torch.nan)
    merged = merge(("linear", ()), [model, others], None, {"weight": (1.0, 0.0)})
    assert torch.equal(merged.view(torch.int32), model.view(torch.int32))


def test_weights_that_cancel_have_no_average() -> None:
    with pytest.raises(InputError, match=r"weights of tensor '.*' sum to zero"):
        merge(("linear", ()), MODELS, None, {"weight": (1.0, -1.0)})


def test_a_base_changes_nothing() -> None:
    assert methods.load("linear").base == "optional"
    values = {"weight": (1.0, 1.0)}
    assert torch.equal(
        merge(("linear", ()), MODELS, torch.ones(3), values), merge(("linear", ()), MODELS, None, values)
    )
