"""Low-rank noise along fixed directions."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from evomerge import post
from evomerge.kernels import BLOCK, dot
from evomerge.methods import TensorSources
from evomerge.post import StepContext
from evomerge.post.noise import _signs

STEP = post.load("noise")


def options(**given: Any) -> dict[str, Any]:
    return STEP.resolve(given)


def noisy(delta: torch.Tensor, name: str = "x", values: dict[str, float] | None = None, **given: Any) -> torch.Tensor:
    own = options(**given)
    shares = dict.fromkeys((c.name for c in STEP.coefficients(own)), 0.0) | (values or {})
    found = delta.clone()
    assert (
        STEP.apply(StepContext(name, options=own), TensorSources(torch.zeros_like(delta), [], {}), found, shares)
        is None
    )
    return found


def test_by_hand() -> None:
    """A delta of length 5 over 2 x 2: two directions of rank 1 and size 0.4, of which 1 and a half are taken.

    One whole direction is a matrix of signs times 0.4 * 5 / sqrt(1 * 2 * 2) = 1.
    """
    delta, own = torch.tensor([[3.0, 0.0], [0.0, 4.0]]), {"directions": 2, "size": 0.4, "seed": 7}
    first, second = (_signs(StepContext("x", options=options(**own)), number, 4).tolist() for number in (1, 2))
    assert {abs(sign) for sign in first + second} == {1.0}

    def outer(signs: list[float]) -> torch.Tensor:
        (a, b), (c, d) = signs[:2], signs[2:]
        return torch.tensor([[a * c, a * d], [b * c, b * d]])

    found = noisy(delta, values={"c1": 1.0, "c2": -0.5}, **own)
    assert torch.equal(found, delta + outer(first) - 0.5 * outer(second))


def test_a_whole_direction_is_as_long_as_it_says() -> None:
    """Of rank 1 exactly, of a higher one on average; directions are nearly at right angles."""
    delta = torch.randn(200, 120, generator=torch.Generator().manual_seed(0))
    length = float(delta.norm())
    for rank, near in ((1, 0.02), (4, 0.2)):
        ways = [noisy(delta, values={f"c{k}": 1.0}, size=0.25, rank=rank) - delta for k in (1, 2)]
        assert [float(way.norm()) / length for way in ways] == pytest.approx([0.25, 0.25], rel=near)
        assert torch.linalg.matrix_rank(ways[0].double(), rtol=1e-4) == rank
        assert abs(float((ways[0] * ways[1]).sum())) < 0.2 * float(ways[0].norm() * ways[1].norm())


def test_directions_follow_from_seed_name_and_number() -> None:
    delta, one = torch.ones(6, 9), {"c1": 1.0}
    assert torch.equal(noisy(delta, values=one), noisy(delta, values=one, directions=3)), (
        "more leave the first as it is"
    )
    others = [noisy(delta, "y", one), noisy(delta, values=one, seed=1), noisy(delta, values={"c2": 1.0})]
    assert not any(torch.equal(noisy(delta, values=one), other) for other in others)


def test_bits_depend_on_no_order_of_sums() -> None:
    """The product is of whole numbers; the same with directions in any order, and by blocks of rows or at once."""
    delta = torch.randn(BLOCK // 64 + 3, 64, generator=torch.Generator().manual_seed(1))
    values = {f"c{k}": math.sin(k) for k in range(1, 17)}
    found, own = noisy(delta, values=values), options()
    total = torch.zeros(delta.shape, dtype=torch.float64)
    for k in reversed(range(1, 17)):
        signs = _signs(StepContext("x", options=own), k, sum(delta.shape)).double()
        total += round(4096 * values[f"c{k}"]) * signs[: len(delta), None] * signs[None, len(delta) :]
    assert total.abs().max() < 2**24
    factor = 0.1 * math.sqrt(dot(delta, delta)) / (4096 * math.sqrt(delta.numel()))
    assert torch.equal(found, delta + total.float() * factor)


def test_what_is_no_matrix_or_has_not_changed_stays() -> None:
    for shape in ((5,), (), (2, 3, 4), (0, 4)):
        assert torch.equal(noisy(torch.ones(shape), values={"c1": 1.0}), torch.ones(shape))
    assert not noisy(torch.zeros(3, 4), values={"c1": 1.0}).any()
    assert torch.equal(noisy(torch.ones(3, 4), values={"c1": 1e-5}), torch.ones(3, 4)), "less than half a step"


def test_neutral_shares_change_nothing() -> None:
    own = options(directions=2)
    assert [c.name for c in STEP.coefficients(own)] == ["c1", "c2"]
    assert STEP.identity({"c1": 0.0, "c2": 0.0}, own)
    assert not STEP.identity({"c1": 0.0, "c2": -0.1}, own)
