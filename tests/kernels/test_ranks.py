"""Exact selection without sorting."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from evomerge.kernels import Ranks, end_of_equal, magnitude_bits


def in_blocks(values: torch.Tensor, size: int = 100_000) -> Iterator[torch.Tensor]:
    for start in range(0, values.numel(), size):
        yield magnitude_bits(values[start : start + size])


def several(kind: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    count = 3_000_000 if kind == "large" else 100_000
    values = torch.randn(count, generator=generator) * 10 ** torch.randn(count, generator=generator)
    if kind == "large":
        # More than 2**20 elements of few different magnitudes: every threshold is shared by many.
        return (values * 8).round() / 8
    if kind == "few":
        return values[:301]
    if kind == "differences of halves":
        return (0.02 * values).bfloat16().float() - (0.02 * values + 3e-4 * values.flip(0)).bfloat16().float()
    if kind == "one value":
        return torch.full((count,), -0.25)
    if kind == "zeros":
        return torch.where(values > 1, values, -0.0)
    if kind == "subnormal":
        return values * 1e-42
    return values


@pytest.mark.parametrize(
    "kind", ["few", "distinct", "large", "differences of halves", "one value", "zeros", "subnormal"]
)
def test_agrees_with_a_sort(kind: str) -> None:
    values = several(kind)
    ordered = values.abs().sort(descending=True).values
    ranks = Ranks(lambda: in_blocks(values))
    assert ranks.count == values.numel()
    count = values.numel()
    for k in (1, 2, 17, 1 + count // 100, int(0.2 * count), count // 2, count - 1, count):
        found = ranks.largest(k)
        value = torch.tensor(found.bits, dtype=torch.int32).view(torch.float32)
        assert value == ordered[k - 1]
        assert found.above == int((ordered > value).sum())
        assert found.equal == int((ordered == value).sum())
        assert found.above < k <= found.above + found.equal


def test_what_is_not_a_number_is_largest() -> None:
    values = torch.tensor([1.0, -torch.inf, -torch.nan, 2.0])
    ranks = Ranks(lambda: in_blocks(values))
    assert ranks.largest(1).above == 0
    assert torch.tensor(ranks.largest(1).bits, dtype=torch.int32).view(torch.float32).isnan()
    assert ranks.largest(2).bits == 0x7F800000


def test_asks_for_a_pass_only_where_it_has_not_been() -> None:
    values = several("distinct")
    passes = []

    def start() -> Iterator[torch.Tensor]:
        passes.append(None)
        return in_blocks(values)

    ranks = Ranks(start, remembered=2)
    first = ranks.largest(5000)
    assert len(passes) == 2
    assert ranks.largest(5001).above >= first.above
    assert ranks.largest(5000) == first
    assert len(passes) == 2
    for k in (1, 10_000, 20_000):
        ranks.largest(k)
    assert ranks.largest(5000) == first
    assert len(passes) == 6


@pytest.mark.parametrize("k", [0, 5])
def test_refuses_places_that_do_not_exist(k: int) -> None:
    with pytest.raises(ValueError, match="of 4"):
        Ranks(lambda: in_blocks(torch.ones(4))).largest(k)


def test_nothing_has_no_ranks() -> None:
    assert Ranks(lambda: in_blocks(torch.empty(0))).count == 0


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_first_equal_elements_end_where_they_end(size: int) -> None:
    values = torch.tensor([1.0, 2, -1, 1, 3, 1, -1])
    one = int(magnitude_bits(torch.ones(1)))
    ends = [end_of_equal(in_blocks(values, size), one, quota) for quota in range(7)]
    kept = [[i for i in range(7) if abs(values[i]) == 1 and i < end] for end in ends]
    assert kept == [[], [0], [0, 2], [0, 2, 3], [0, 2, 3, 5], [0, 2, 3, 5, 6], [0, 2, 3, 5, 6]]
