"""Truncated deltas: worked by hand, the rule that counts triples, and a merged model as the base."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from evomerge.contracts.method_cases import family
from tests.methods.one_tensor import Variant, merge

EXACT: Variant = ("truncated_svd", (("stored", "float32"),))


def values(rank: float, weights: tuple[float, ...] = (1.0, 1.0), scale: float = 1.0) -> dict[str, Any]:
    return {"weight": weights, "rank": rank, "lambda": scale}


def test_the_example_by_hand() -> None:
    """Of four singular values 4, 3, 2, 1 half are the first two, as they are."""
    base = torch.full((4, 5), 10.0)
    first, second = torch.zeros(4, 5), torch.zeros(4, 5)
    first[range(4), range(4)] = torch.tensor([4.0, 3, 2, 1])
    second[2, 4] = 8.0
    wanted = torch.zeros(4, 5)
    wanted[0, 0], wanted[1, 1], wanted[2, 4] = 2.0, 1.5, 16.0
    found = merge(EXACT, [base + first, base + second], base, values(0.5, (0.5, 2.0))) - base
    torch.testing.assert_close(found, wanted, rtol=0, atol=5e-6)


@pytest.mark.parametrize("rank", [0.0, 0.05, 1 - 0.9, 0.5, 0.99])
@pytest.mark.parametrize("shape", [(37, 20), (20, 37)])
def test_the_fraction_counts_triples_of_the_shorter_side(shape: tuple[int, int], rank: float) -> None:
    """Rounded down, in doubles: of 20 the fraction 1 - .9 is one, and less than one leaves the base."""
    base, (model,) = family(1, shape)
    kept = int(rank * 20)
    left, own, right = torch.linalg.svd((model - base).double(), full_matrices=False)
    wanted = (left[:, :kept] * own[:kept]) @ right[:kept]
    found = merge(EXACT, [model], base, values(rank, (1.0,))) - base
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=2e-5)


def test_all_triples_are_task_arithmetic_and_vectors_stay_whole() -> None:
    base, models = family(3)
    summed: Variant = ("task_arithmetic", ())
    point = {"weight": (0.3, 0.2, 0.4), "lambda": 1.0}
    assert torch.equal(merge(EXACT, models, base, {**point, "rank": 1.0}), merge(summed, models, base, point))
    base, models = family(3, (17,))
    assert torch.equal(merge(EXACT, models, base, {**point, "rank": 0.1}), merge(summed, models, base, point))
    others: Variant = ("truncated_svd", (("others", "base"),))
    assert torch.equal(merge(others, models, base, {**point, "rank": 0.1}), base)
