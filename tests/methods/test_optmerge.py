"""OptMerge, by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from evomerge.methods._shared.interference.objective import top_right_vectors
from tests.methods.one_tensor import merge

# Of each the larger singular value is kept: 3 of the first, whose squared norm is 10, 2 of the second, 5.
FIRST, SECOND = torch.diag(torch.tensor([3.0, 1.0])), torch.diag(torch.tensor([1.0, 2.0]))
BY_HAND = {"learning_rate": 0.1, "momentum": 0.0}


def optmerge(deltas: list[torch.Tensor], **options: Any) -> torch.Tensor:
    """The merged delta."""
    return merge(("optmerge", tuple(options.items())), deltas, torch.zeros_like(deltas[0]), {"lambda": 1.0})


def test_two_experts() -> None:
    """The mean is diag(2, 1.5), the curvature diag(9 / 10, 4 / 5), the optimum diag(3, 2)."""
    got = optmerge([FIRST, SECOND], steps=1, **BY_HAND)
    wanted = torch.diag(torch.tensor([2 + 0.2 * 0.9 * (3 - 2), 1.5 + 0.2 * 0.8 * (2 - 1.5)]))
    torch.testing.assert_close(got, wanted)
    torch.testing.assert_close(optmerge([FIRST, SECOND], steps=2000, **BY_HAND), torch.diag(torch.tensor([3.0, 2.0])))


def test_centred_targets() -> None:
    """Differences to the mean are diag(1, -0.5) and its opposite: targets are diag(3, 1.5) and diag(1, 1.5)."""
    got = optmerge([FIRST, SECOND], steps=2000, target="centred", **BY_HAND)
    torch.testing.assert_close(got, torch.diag(torch.tensor([3.0, 1.5])))


def test_the_rank_may_be_said() -> None:
    """With all singular values it is WUDI."""
    for target in ("truncated", "centred"):
        got = optmerge([FIRST, SECOND], rank=1.0, target=target, steps=50, **BY_HAND)
        wudi = (("steps", 50), ("start", "mean"), ("optimiser", "sgd"), *BY_HAND.items())
        wanted = merge(("wudi", wudi), [FIRST, SECOND], torch.zeros(2, 2), {"lambda": 1.0})
        torch.testing.assert_close(got, wanted)


def test_more_experts_than_singular_values() -> None:
    """One is kept of each."""
    deltas = [torch.tensor([[float(i)]]) for i in (1, 2, 3)]
    torch.testing.assert_close(optmerge(deltas, steps=2000, **BY_HAND), torch.tensor([[2.0]]))


@pytest.mark.parametrize("shape", [(7, 3), (3, 7)])
def test_largest_singular_values_and_their_vectors(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0)).double()
    values, vectors = top_right_vectors(matrix, 2)
    torch.testing.assert_close(values.flip(0), torch.linalg.svdvals(matrix)[:2])
    torch.testing.assert_close((matrix @ vectors).norm(dim=0), values)
    torch.testing.assert_close(vectors.t() @ vectors, torch.eye(2, dtype=torch.float64))
    values, vectors = top_right_vectors(matrix[:, :1] @ matrix[:1], 2)  # of rank 1
    assert values.count_nonzero() == 1
    assert vectors.norm(dim=0).tolist() == pytest.approx([0.0, 1.0])
