"""RAM and RAM+, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from evomerge.methods import TensorContext, load
from tests.methods.one_tensor import merge

BASE = torch.full((6,), 8.0)
DELTAS = [
    torch.tensor([2.0, 2.0, 3.0, 0.0, 0.0, 0.0]),
    torch.tensor([0.0, 4.0, -3.0, 1.0, 0.0, 0.0]),
    torch.tensor([0.0, 0.0, 6.0, 0.0, 5.0, 0.0]),
]
MODELS = [BASE + delta for delta in DELTAS]
# The first changed one element alone and two with others, the second as well, the third one and one.
PLAIN = torch.tensor([2.0, 3.0, 2.0, 1.0, 5.0, 0.0])


def plus(r: float, alpha: float, weights: tuple[float, ...] = (1.0, 1.0, 1.0), scope: str = "tensor") -> list[float]:
    values = {"weight": weights, "r": r, "alpha": alpha, "lambda": 1.0}
    return (merge(("ramplus_tl", (("scope", scope),)), MODELS, BASE, values) - BASE).tolist()


def test_what_one_changed_is_kept_and_what_several_changed_is_averaged() -> None:
    found = merge(("ram", ()), MODELS, BASE, {"weight": (1.0, 1.0, 1.0), "lambda": 1.0})
    assert torch.equal(found - BASE, PLAIN)
    half = merge(("ram", ()), MODELS, BASE, {"weight": (1.0, 1.0, 1.0), "lambda": 0.5})
    assert torch.equal(half - BASE, PLAIN / 2)


def test_small_differences_are_none() -> None:
    """Also one that equals the threshold."""
    found = merge(("ram", (("epsilon", 2.0),)), MODELS, BASE, {"weight": (1.0, 1.0, 1.0), "lambda": 1.0})
    assert (found - BASE).tolist() == [0.0, 4.0, 2.0, 0.0, 5.0, 0.0]


def test_weights_multiply_and_models_without_any_take_no_part() -> None:
    found = merge(("ram", ()), MODELS, BASE, {"weight": (0.5, 1.0, 0.0), "lambda": 1.0})
    assert (found - BASE).tolist() == [1.0, 2.5, -0.75, 1.0, 0.0, 0.0]


def test_own_changes_grow_with_those_that_are_shared() -> None:
    # Two shared for each own one, of the third one.
    assert plus(0.25, 8.0) == [3.0, 3.0, 2.0, 1.5, 6.25, 0.0]
    assert plus(0.25, 1.0) == [2.5, 3.0, 2.0, 1.25, 6.25, 0.0]
    assert plus(0.0, 1.0) == PLAIN.tolist()
    # A model of weight zero takes no part, but was counted: now the second changed its third element alone.
    assert plus(0.25, 1.0, (1.0, 0.0, 0.0)) == [2.5, 2.5, 3.75, 0.0, 0.0, 0.0]


def test_a_model_that_changed_nothing_alone() -> None:
    values = {"weight": (1.0, 1.0), "r": 1.0, "alpha": 1.0, "lambda": 1.0}
    assert torch.equal(merge(("ramplus_tl", ()), [MODELS[0]] * 2, BASE, values), MODELS[0])


@pytest.mark.parametrize(("scope", "factor"), [("tensor", 1.5), ("global", 2.0)])
def test_counts_of_a_tensor_or_of_the_whole_model(scope: str, factor: float) -> None:
    """A second tensor: all models changed its two elements. The third model so has three shared and one own."""
    method = load("ramplus_tl")
    options = method.resolve({"scope": scope})
    pairs = [(BASE, MODELS), (torch.zeros(2), [torch.ones(2)] * 3)]
    context = TensorContext("x")
    tensors = [(context, method.sources(context, base, models, options)) for base, models in pairs]
    assert method.survey is not None
    found, out = method.survey(tensors, options), torch.empty(6)
    values = {"weight": (1.0, 1.0, 1.0), "r": 0.5, "alpha": 2.0, "lambda": 1.0}
    method.merge(context, replace(tensors[0][1], survey=found), values, out)
    assert (out - BASE)[4] == 5.0 * factor
