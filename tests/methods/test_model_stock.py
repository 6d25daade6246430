"""Model Stock, by hand."""

from __future__ import annotations

import math
from typing import Any

import torch

from evomerge.contracts.method_cases import same_bits
from tests.methods.one_tensor import merge


def stock(models: list[torch.Tensor], base: torch.Tensor, lambda_: float = 1.0, **options: Any) -> torch.Tensor:
    values = {"weight": (1.0,) * len(models), "lambda": lambda_}
    return merge(("model_stock", tuple(options.items())), models, base, values)


BASE = torch.tensor([1.0, -1.0])
# 60 degrees apart, of lengths 1 and 2: t = 2 * 0.5 / (1 + 0.5) = 2 / 3 of the mean delta.
ONE, TWO = torch.tensor([1.0, 0.0]), 2 * torch.tensor([0.5, math.sqrt(3) / 2])


def test_two_models() -> None:
    wanted = (ONE + TWO) / 2
    torch.testing.assert_close(stock([BASE + ONE, BASE + TWO], BASE), BASE + 2 / 3 * wanted)
    torch.testing.assert_close(stock([BASE + ONE, BASE + TWO], BASE, 1.5), BASE + wanted)


def test_three_models_go_by_the_mean_cosine() -> None:
    deltas = [torch.tensor([1.0, 0.0, 0.0]), torch.tensor([2.0, 0.0, 0.0]), torch.tensor([0.0, 3.0, 0.0])]
    base = torch.ones(3)
    ratio = 3 * (1 / 3) / (1 + 2 * (1 / 3))  # the cosines are 1, 0 and 0
    got = stock([base + delta for delta in deltas], base)
    torch.testing.assert_close(got, base + ratio * torch.tensor([1.0, 1.0, 0.0]))


def test_three_models_go_by_the_mean_angle_if_told_so() -> None:
    deltas = [torch.tensor([1.0, 0.0]), torch.tensor([2.0, 0.0]), torch.tensor([0.0, 3.0])]
    # Angles of 0, 90 and 90 degrees: 60 in the mean, whose cosine is 1 / 2, and a ratio of 3 / 2 / (1 + 2 / 2).
    got = stock([BASE + delta for delta in deltas], BASE, mean="angles")
    torch.testing.assert_close(got, BASE + 3 / 4 * torch.ones(2))
    # Of two there is one angle.
    torch.testing.assert_close(stock([BASE + ONE, BASE + TWO], BASE, mean="angles"), BASE + 2 / 3 * (ONE + TWO) / 2)


def test_rows_have_ratios_of_their_own() -> None:
    base = torch.zeros(3, 2)
    first, second = torch.stack([ONE, ONE, ONE]), torch.stack([ONE, TWO, torch.tensor([0.0, 5.0])])
    # The same, 60 degrees apart, orthogonal: 1, 2 / 3 and nothing of the mean.
    wanted = torch.tensor([[1.0], [2 / 3], [0.0]]) * (first + second) / 2
    torch.testing.assert_close(stock([first, second], base, vectors="rows"), wanted)
    # A vector is one row.
    assert torch.equal(stock([ONE, TWO], BASE, vectors="rows"), stock([ONE, TWO], BASE))


def test_the_weight_of_a_model_is_its_share_in_the_mean() -> None:
    got = merge(("model_stock", ()), [BASE + ONE, BASE + TWO], BASE, {"weight": (0.75, 0.25), "lambda": 1.0})
    torch.testing.assert_close(got, BASE + 2 / 3 * (0.75 * ONE + 0.25 * TWO))


def test_opposite_deltas() -> None:
    """The ratio is negative, then without bound: there the base stays."""
    torch.testing.assert_close(
        stock([BASE + ONE, BASE + torch.tensor([-0.5, math.sqrt(3) / 2])], BASE),
        BASE - 2 * torch.tensor([0.25, math.sqrt(3) / 4]),
    )
    for shape in ((2,), (), (3, 1)):
        base, delta = torch.full(shape, -0.3), torch.full(shape, 0.1)
        for vectors in ("tensor", "rows"):
            assert stock([base + delta, base - 3 * delta], base, vectors=vectors).equal(base)


def test_short_deltas_count_as_less_alike_unless_told_otherwise() -> None:
    base, delta = torch.zeros(2), torch.tensor([3e-4, 4e-4])  # the product of lengths is 2.5e-7
    ratio = 2 * 0.25 / 1.25
    torch.testing.assert_close(stock([delta, delta], base), ratio * delta)
    assert torch.equal(stock([delta, delta], base, least=0.0), delta)
    for shape in ((0,), (2, 0), (3,)):
        unchanged = torch.full(shape, -0.0)
        assert same_bits(stock([unchanged, unchanged], unchanged, least=0.0), unchanged)
