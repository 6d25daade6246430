"""DAM: worked by hand, and how far its factors count."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from evomerge.errors import InputError
from tests.methods.one_tensor import merge_given

MODELS = [torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[10.0, 20.0], [30.0, 40.0]])]
FACTORS = (torch.tensor([1.0, 0.5]), torch.tensor([0.1, 0.0]))


def merged(strength: float, factors: Any = FACTORS, *options: tuple[str, Any]) -> torch.Tensor:
    return merge_given(("dam", options), MODELS, None, {"strength": strength}, {"dam": factors})


def test_the_example_by_hand() -> None:
    """As fitted; half of the way there from the mean the factors are 0.75 and 0.5, and 0.3 and 0.25."""
    torch.testing.assert_close(merged(1.0), torch.tensor([[2.0, 1.0], [6.0, 2.0]]))
    torch.testing.assert_close(merged(0.5), torch.tensor([[3.75, 6.0], [11.25, 12.0]]))
    torch.testing.assert_close(merged(1.5), 2 * merged(1.0) - merged(0.5))


def test_the_mean() -> None:
    mean = torch.tensor([[5.5, 11.0], [16.5, 22.0]])
    torch.testing.assert_close(merged(0.0), mean)
    torch.testing.assert_close(merged(1.0, (None, FACTORS[1])), mean)


def test_tanh_and_matrices_stored_the_other_way_round() -> None:
    found = merged(1.0, FACTORS, ("activation", "tanh"))
    assert float(found[0, 0]) == pytest.approx(math.tanh(1.0) + 10 * math.tanh(0.1))
    turned = merged(1.0, tuple(own[:, None] for own in FACTORS))
    torch.testing.assert_close(turned, torch.tensor([[2.0, 4.0], [1.5, 2.0]]))


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match=r"'dam' of model 1 .* has shape \(3,\); expected \(2,\) or \(2, 1\)"):
        merged(1.0, (FACTORS[0], torch.ones(3)))
