"""Consensus task arithmetic and TALL masks, by hand."""

from __future__ import annotations

import pytest
import torch

from evomerge.errors import InputError
from evomerge.methods import load
from tests.methods.one_tensor import merge

BASE = torch.full((4,), 10.0)
DELTAS = [
    torch.tensor([4.0, 1.0, 2.0, 0.0]),
    torch.tensor([2.0, 4.0, -1.0, 0.0]),
    torch.tensor([2.0, 0.0, 1.0, 1.0]),
]
MODELS = [BASE + delta for delta in DELTAS]
SUM = torch.tensor([8.0, 5.0, 2.0, 1.0])
# Distances to the sum: [4, 4, 0, 1], [6, 1, 3, 1] and [6, 5, 1, 0]. Half of them is less than the delta at
HALF = [[True, False, True, False], [False, True, False, False], [False, False, True, True]]


def merged(limits: tuple[float, ...] = (0.5,) * 3, weights: tuple[float, ...] = (1.0,) * 3, k: int = 2) -> torch.Tensor:
    values = {"weight": weights, "mask_lambda": limits, "lambda": 1.0}
    return merge(("consensus", (("k", k),)), MODELS, BASE, values) - BASE


def test_what_too_few_masks_have_is_left_out() -> None:
    counts = torch.tensor(HALF).sum(0)  # 1, 1, 2, 1
    for k in (0, 1, 2, 3):
        assert torch.equal(merged(k=k), SUM * (counts >= k))
    assert load("consensus").resolve({})["k"] == 2


def test_a_distance_that_is_equal_is_not_less() -> None:
    # At element 0 the first expert's delta is 4 and its distance 4.
    assert merged((1.0, 1.0, 1.0), k=1)[0] == 0.0
    assert merged((0.99, 1.0, 1.0), k=1)[0] == 8.0


def test_every_expert_has_its_own_limit() -> None:
    # At 0 the first mask has all but the last element, the others as above: 1, 2, 2, 1.
    assert merged((0.0, 0.5, 0.5)).tolist() == [0.0, 5.0, 2.0, 0.0]


def test_weights_say_what_is_added_and_not_what_matters() -> None:
    assert merged(weights=(0.5, 0.0, 2.0), k=1).tolist() == [6.0, 0.5, 3.0, 2.0]


def test_fewer_models_than_k_must_all_agree() -> None:
    values = {"weight": (1.0, 1.0), "mask_lambda": (0.0, 0.0), "lambda": 1.0}
    found = merge(("consensus", (("k", 5),)), MODELS[:2], BASE, values) - BASE
    assert found.tolist() == [6.0, 5.0, 1.0, 0.0]


def test_the_model_for_one_task() -> None:
    for task, own in enumerate(HALF):
        found = merge(("consensus", (("task", task),)), MODELS, BASE, {"mask_lambda": 0.5, "lambda": 1.0}) - BASE
        assert torch.equal(found, SUM * torch.tensor(own))
    with pytest.raises(InputError, match=r"option task is 3, but tensor '.*' is merged from 3 models"):
        merge(("consensus", (("task", 3),)), MODELS, BASE, {"mask_lambda": 0.5, "lambda": 1.0})


def test_coefficients_and_starts_of_a_task() -> None:
    method = load("consensus")
    options = method.resolve({"task": 0})
    declared = {c.name: c for c in method.coefficients(options)}
    assert set(declared) == set(method.starts(3, options)["neutral"]) == {"mask_lambda", "lambda"}
    assert not any(c.per_model for c in declared.values())
