"""SWUDI and IWUDI, by hand: filters between the sum of deltas and the optimum."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from tests.methods.one_tensor import merge

# The curvature is diag(9 / 10 + 1 / 5, 1 / 10 + 4 / 5), the pull diag(27 / 10 + 1 / 5, 1 / 10 + 8 / 5).
DELTAS = [torch.diag(torch.tensor([3.0, 1.0])), torch.diag(torch.tensor([1.0, 2.0]))]
OPTIMUM, SUM = torch.tensor([2.9 / 1.1, 1.7 / 0.9]), torch.tensor([4.0, 3.0])
NEUTRAL = {"lambda": 1.0, "start": 1.0, "log_t": math.log10(2), "ratio": 1.0, "power": 1.0, "alpha": 0.0}


def swudi(deltas: list[torch.Tensor], **values: float) -> torch.Tensor:
    """The merged delta."""
    return merge(("swudi", ()), deltas, torch.zeros_like(deltas[0]), NEUTRAL | values)


def iwudi(deltas: list[torch.Tensor], name: str, **values: float) -> torch.Tensor:
    """The merged delta."""
    given: dict[str, Any] = {"lambda": 1.0, "start": 1.0, **values}
    return merge(("iwudi", (("filter", name),)), deltas, torch.zeros_like(deltas[0]), given)


def between(one: float, two: float, start: float = 1.0) -> torch.Tensor:
    """The matrix that has gone these shares of the way from the start to the optimum."""
    share = torch.tensor([one, two])
    return torch.diag(start * SUM * (1 - share) + OPTIMUM * share)


STOPPED = (1 - math.exp(-2 * 1.1), 1 - math.exp(-2 * 0.9))


def test_a_descent_that_is_stopped_at_a_time() -> None:
    torch.testing.assert_close(swudi(DELTAS), between(*STOPPED))
    torch.testing.assert_close(iwudi(DELTAS, "exponential", log_t=math.log10(2)), between(*STOPPED))
    torch.testing.assert_close(swudi(DELTAS, start=0.5), between(*STOPPED, start=0.5))
    torch.testing.assert_close(swudi(DELTAS, start=0.0), between(*STOPPED, start=0.0))
    torch.testing.assert_close(swudi(DELTAS, **{"lambda": 0.3}), 0.3 * between(*STOPPED))


def test_the_weaker_half_of_the_directions_stays_at_the_start() -> None:
    torch.testing.assert_close(swudi(DELTAS, ratio=0.5), between(STOPPED[0], 0.0))
    torch.testing.assert_close(swudi(DELTAS, ratio=0.51), between(*STOPPED))
    torch.testing.assert_close(swudi(DELTAS, ratio=0.0), between(STOPPED[0], 0.0))  # at least one leaves it


def test_further_filters() -> None:
    torch.testing.assert_close(swudi(DELTAS, power=2.0), between(STOPPED[0] ** 2, STOPPED[1] ** 2))
    shares = (1.1 / (1.1 + 0.2), 0.9 / (0.9 + 0.2))
    torch.testing.assert_close(iwudi(DELTAS, "tikhonov", alpha=0.2), between(*shares))
    torch.testing.assert_close(swudi(DELTAS, alpha=0.2), between(STOPPED[0] * shares[0], STOPPED[1] * shares[1]))
    steps = (1 - 0.5**3, 1 - (1 - 0.5 * 0.9 / 1.1) ** 3)
    torch.testing.assert_close(iwudi(DELTAS, "landweber", steps=3.0, eta=0.5), between(*steps))


@pytest.mark.parametrize("shape", [(5, 3), (3, 8), (2, 8)])
def test_one_expert_is_found_whatever_the_filter(shape: tuple[int, int]) -> None:
    delta = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for values in ({}, {"ratio": 0.3}, {"power": 3.0, "alpha": 0.1}, {"log_t": 5.0}):
        torch.testing.assert_close(swudi([delta], **values), delta)
    # So are copies of it, from their mean.
    torch.testing.assert_close(swudi([delta] * 4, start=0.25), delta)


def test_sums_where_nothing_is_filtered_or_nothing_interferes() -> None:
    generator = torch.Generator().manual_seed(0)
    deltas = [torch.randn(4, 6, generator=generator) for _ in range(2)]
    torch.testing.assert_close(iwudi(deltas, "tikhonov", alpha=1e9), deltas[0] + deltas[1])
    apart = [torch.cat([deltas[0], torch.zeros(4, 6)], dim=1), torch.cat([torch.zeros(4, 6), deltas[1]], dim=1)]
    torch.testing.assert_close(swudi(apart), apart[0] + apart[1])


@pytest.mark.parametrize("shape", [(9, 4), (3, 7), (2, 9)])
def test_the_end_is_the_least_interference(shape: tuple[int, int]) -> None:
    """Of the whole descent; inputs that no delta reacts to keep the start, which is zero there."""
    generator = torch.Generator().manual_seed(0)
    deltas = [torch.randn(shape, generator=generator) for _ in range(3)]
    curvature = sum((d.t() @ d / d.square().sum() for d in deltas), torch.zeros(()))
    pull = sum((d @ d.t() @ d / d.square().sum() for d in deltas), torch.zeros(()))
    wanted = pull.double() @ torch.linalg.pinv(curvature.double(), rtol=1e-5)
    for start in (0.0, 1.0):
        got = swudi(deltas, log_t=5.0, start=start)
        torch.testing.assert_close(got.double(), wanted, rtol=1e-4, atol=1e-4)
