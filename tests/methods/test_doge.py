"""DOGE, by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from evomerge.methods.doge import correction, subspace_of
from tests.methods.one_tensor import merge

# Of length 5, and factor 0.5 with an eta of 2.5: the gradient at no correction is -12.5 of it.
DELTA = torch.tensor([[3.0, 4.0]])
BY_HAND = {"eta": 2.5, "steps": 1, "learning_rate": 0.1, "kept": "exact"}


def doge(density: float, weight: float = 1.0, **options: Any) -> torch.Tensor:
    """The merged delta of one expert."""
    values = {"weight": (weight,), "density": (density,), "lambda": 1.0}
    return merge(("doge", tuple((BY_HAND | options).items())), [DELTA], torch.zeros(1, 2), values)


def test_one_step_of_one_expert() -> None:
    torch.testing.assert_close(doge(1.0), torch.tensor([[0.5 * 3.1, 0.5 * 4.1]]))
    torch.testing.assert_close(doge(0.5), torch.tensor([[0.0, 0.5 * 4.1]]))
    torch.testing.assert_close(doge(0.5, kept="threshold"), torch.tensor([[0.5 * 3.1, 0.5 * 4.1]]))
    torch.testing.assert_close(doge(1.0, 2.0), torch.tensor([[3.1, 4.1]]))
    torch.testing.assert_close(doge(0.5, scope="tensor"), torch.tensor([[0.0, 0.5 * 4.1]]))


def test_an_expert_that_is_kept_in_full_needs_no_correction() -> None:
    torch.testing.assert_close(doge(1.0, eta=5.0), DELTA)


def test_the_correction_minimises_the_objective() -> None:
    """Of two rows, each of which has its own: after many steps nothing is left of it."""
    generator = torch.Generator().manual_seed(0)
    deltas = [torch.randn(2, 5, generator=generator).double() for _ in range(2)]
    factors = [0.3, 0.2]
    options = {"subspace": 100.0, "steps": 3000, "learning_rate": 0.02}
    found = correction(deltas, factors, options).double()
    mixed = sum((f * (d + found) for f, d in zip(factors, deltas, strict=True)), torch.zeros(()))
    for delta in deltas:
        assert (delta * (delta - mixed)).sum(dim=1).tolist() == pytest.approx([0.0, 0.0], abs=1e-3)


def test_the_subspace_that_experts_share() -> None:
    """Both react most in the second output, and next in an output of their own."""
    first, second = torch.zeros(4, 6).double(), torch.zeros(4, 6).double()
    first[1, 0], first[0, 1] = 5.0, 2.0
    second[1, 3], second[2, 2] = 4.0, 3.0
    found = subspace_of([first, second], 4.0)
    torch.testing.assert_close(found.abs(), torch.tensor([[0.0], [1.0], [0.0], [0.0]]).double())
    assert subspace_of([first, second], 4.1).shape == (4, 0)  # less than one dimension
    assert subspace_of([first] * 5, 1.0).shape == (4, 0)  # less than one vector of each


def test_nothing_is_corrected_within_the_shared_subspace() -> None:
    """Up to rounding, where all of the gradient lies in it."""
    delta = torch.zeros(2, 3).double()
    delta[0] = torch.tensor([1.0, 2.0, 2.0])
    options = {"subspace": 2.0, "steps": 1, "learning_rate": 0.1}
    assert not correction([delta], [0.5], options).any()
    assert correction([delta], [0.5], options | {"subspace": 3.0})[0].tolist() == pytest.approx([0.1] * 3)
