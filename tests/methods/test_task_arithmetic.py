"""Task arithmetic, by hand."""

from __future__ import annotations

import torch

from tests.methods.one_tensor import merge

BASE = torch.tensor([1.0, 2.0, 3.0])
MODELS = [torch.tensor([2.0, 2.0, 1.0]), torch.tensor([1.0, 4.0, 5.0])]


def test_deltas_are_added_with_their_weights() -> None:
    # deltas [1, 0, -2] and [0, 2, 2]; 0.5 of the first, -0.25 of the second, twice
    values = {"weight": (0.5, -0.25), "lambda": 2.0}
    assert merge(("task_arithmetic", ()), MODELS, BASE, values).tolist() == [2.0, 1.0, 0.0]


def test_one_scale_for_all_is_the_paper() -> None:
    values = {"weight": (0.5, 0.5), "lambda": 1.0}
    assert merge(("task_arithmetic", ()), MODELS, BASE, values).tolist() == [1.5, 3.0, 3.0]


def test_normalised_weights_are_proportions() -> None:
    variant = ("task_arithmetic", (("normalise", "weight"),))
    values = {"weight": (3.0, 1.0), "lambda": 2.0}
    assert merge(variant, MODELS, BASE, values).tolist() == [2.5, 3.0, 1.0]
