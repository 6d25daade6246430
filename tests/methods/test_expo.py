"""ExPO, by hand."""

from __future__ import annotations

import torch

from tests.methods.one_tensor import merge

BASE = torch.tensor([10.0, 10.0, -0.0])
MODELS = [BASE + torch.tensor([1.0, -2.0, 0.0]), BASE + torch.tensor([3.0, 0.0, 0.0])]


def test_the_aligned_model_and_a_part_of_its_delta() -> None:
    found = merge(("expo", ()), MODELS[:1], BASE, {"weight": (1.0,), "alpha": 0.5})
    assert found.tolist() == [11.5, 7.0, 0.0]
    assert torch.equal(merge(("expo", ()), MODELS[:1], BASE, {"weight": (1.0,), "alpha": 0.0}), MODELS[0])
    assert torch.equal(merge(("expo", ()), MODELS[:1], BASE, {"weight": (1.0,), "alpha": -1.0}), BASE)


def test_of_several_models_the_average_is_extrapolated() -> None:
    found = merge(("expo", ()), MODELS, BASE, {"weight": (3.0, 1.0), "alpha": 1.0})
    torch.testing.assert_close(found - BASE, torch.tensor([3.0, -3.0, 0.0]))
