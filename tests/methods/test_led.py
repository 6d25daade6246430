"""LED-Merging: worked by hand, ties, zeros, and tensors with more elements than ranks."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from evomerge.contracts.method_cases import family, same_bits
from evomerge.methods.led import LEVELS, limits, ranks_of
from tests.methods.one_tensor import merge_given

BASE = torch.full((5,), 10.0)
MODELS = [BASE + torch.tensor([1.0, 2, 3, 4, 5]), BASE - torch.tensor([1.0, 2, 3, 4, 5])]
FALLING, RISING = torch.tensor([5.0, 4, 3, 2, 1]), torch.tensor([1.0, 2, 3, 4, 5])


def added(weights: tuple[float, ...], rates: tuple[float, ...], own: Any, of_base: Any, *options: Any) -> list[float]:
    values, statistics = {"weight": weights, "rate": rates}, {"snip": own, "base:snip": of_base}
    return (merge_given(("led", options), MODELS, BASE, values, statistics) - BASE).tolist()


def test_the_example_by_hand() -> None:
    """Three of five: each adds its largest two and competes for the third, which nobody gets."""
    scores = (FALLING, RISING)
    assert added((1.0, 1.0), (0.6, 0.6), scores, scores) == [1, 2, 0, -4, -5]
    assert added((0.5, 2.0), (0.6, 0.4), scores, scores) == [0.5, 1.0, 0, 0, -10]


def test_both_scores_must_be_large() -> None:
    """The expert's say the first two, the base's the last two: of four the third largest is in both."""
    own, of_base = torch.tensor([5.0, 4, 3, 2, 1]), torch.tensor([1.0, 5, 4, 3, 2])
    assert added((1.0, 0.0), (0.8, 0.5), (own, own), (of_base, own)) == [0, 2, 3, 0, 0]


def test_the_end_points() -> None:
    scores = (FALLING, RISING)
    assert added((1.0, 0.0), (1.0, 0.6), scores, scores) == [1, 2, 3, 4, 5], "an expert of weight 0 takes no part"
    assert added((1.0, 1.0), (1.0, 1.0), scores, scores) == [0] * 5
    assert added((1.0, 1.0), (0.1, 0.6), scores, scores) == [0, 0, 0, -4, -5], "int(0.1 * 5) is none"
    assert added((0.0, 0.0), (0.6, 0.6), scores, scores) == [0] * 5
    assert added((1.0, 1.0), (0.6, 0.6), (FALLING, None), scores) == [0] * 5, "no scores, no elections"


def test_equal_scores() -> None:
    """The fourth largest of five is one of two that are equal: both are elected, by both experts here."""
    tied = torch.tensor([5.0, 4, 2, 2, 1])
    assert added((1.0, 1.0), (0.8, 0.4), (tied, RISING), (tied, RISING)) == [1, 2, 3, 0, -5]
    assert added((1.0, 1.0), (0.8, 0.4), (tied, tied), (tied, tied)) == [0, 0, 3, 4, 0]


def test_weights_that_no_text_reaches() -> None:
    """Two scored weights of five, and a rate of four: the authors' code takes all from the other expert."""
    few = torch.tensor([5.0, 4, 0, 0, 0])
    scores = (few, RISING)
    assert added((1.0, 1.0), (0.8, 0.6), scores, scores) == [1, 2, 0, -4, -5]
    assert added((1.0, 1.0), (0.8, 0.6), scores, scores, ("zeros", "elected")) == [1, 2, 0, 0, 0]


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.6])
def test_large_tensors_have_ranks_in_steps(rate: float) -> None:
    numel = 3 * LEVELS + 7
    scores = torch.rand(2, numel, generator=torch.Generator().manual_seed(0)) + 0.1
    ranks = ranks_of([*scores])
    assert ranks.dtype == torch.int16
    assert ranks.min() >= 0
    own, others = limits(rate, numel)
    exact = torch.stack([one > one.sort(descending=True).values[int(rate * numel) - 1] for one in scores]).all(0)
    mine, theirs = ranks < own, ranks < others
    assert not (mine & ~exact).any()
    assert not (exact & ~theirs).any()
    assert theirs.sum() - mine.sum() <= 12


def test_the_base_stays_where_nobody_adds() -> None:
    base, models = family(2)
    base[::7] = -0.0
    scores = tuple(torch.rand(37, 11, generator=torch.Generator().manual_seed(seed)) for seed in range(2))
    values = {"weight": (1.0, 1.0), "rate": (0.3, 0.3)}
    found = merge_given(("led", ()), models, base, values, {"snip": scores, "base:snip": scores})
    changed = found != base
    assert 0.2 < changed.float().mean() < 0.6
    assert same_bits(torch.where(changed, base, found), base)
