"""Exact selection without sorting."""

from __future__ import annotations

import pytest
import torch

from evomerge.kernels import (
    Delta,
    Histogram,
    OrderStatistic,
    bin_histogram,
    end_of_equal,
    histogram_bytes,
    histogram_of,
    magnitude_bits,
)

KINDS = ["few", "distinct", "large", "differences of halves", "one value", "zeros", "subnormal", "wide"]


def of(values: torch.Tensor) -> Delta:
    return Delta(torch.zeros_like(values), values)


def several(kind: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    count = 3_000_000 if kind == "large" else 100_000
    if kind == "large":
        # More than 2**20 elements of few different magnitudes: every threshold is shared by many.
        return (torch.randn(count, generator=generator) * 8).round() / 8
    values = torch.randn(count, generator=generator) * 10 ** torch.randn(count, generator=generator)
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
    if kind == "wide":
        # All exponents occur: more different upper halves of the bits than stretches.
        return torch.randint(0, 0x7F800000, (count,), generator=generator, dtype=torch.int32).view(torch.float32)
    return values


def select(histogram: Histogram, values: torch.Tensor, k: int) -> OrderStatistic:
    return histogram.largest(k, lambda digit: bin_histogram(of(values), digit, histogram.shift))


@pytest.mark.parametrize("kind", KINDS)
def test_agrees_with_a_sort(kind: str) -> None:
    values = several(kind)
    ordered = values.abs().sort(descending=True).values
    histogram = histogram_of(of(values))
    assert histogram.count == values.numel()
    count = values.numel()
    for k in (1, 2, 17, 1 + count // 100, int(0.2 * count), count // 2, count - 1, count):
        found = select(histogram, values, k)
        value = torch.tensor(found.bits, dtype=torch.int32).view(torch.float32)
        assert value == ordered[k - 1]
        assert found.above == int((ordered > value).sum())
        assert found.equal == int((ordered == value).sum())
        assert found.above < k <= found.above + found.equal


@pytest.mark.parametrize("kind", KINDS)
def test_is_bounded_stored_and_independent_of_order(kind: str) -> None:
    values = several(kind)
    histogram = histogram_of(of(values))
    arrays = histogram.arrays("a")
    assert sum(array.nbytes for array in arrays.values()) <= histogram_bytes(values.numel())
    assert histogram_bytes(values.numel()) <= 12 * max(2**13, values.numel() // 256) + 8
    other = histogram_of(of(values.flip(0)))
    for name, array in other.arrays("a").items():
        assert torch.equal(array, arrays[name])
        assert array.is_contiguous()
    loaded = Histogram.load(arrays, "a")
    assert select(loaded, values, 17) == select(histogram, values, 17)


def test_few_different_magnitudes_need_no_further_pass() -> None:
    def never(digit: int) -> Histogram:
        raise AssertionError("a pass over the magnitudes was asked for")

    for kind in ("few", "large", "one value"):
        values = several(kind)
        histogram = histogram_of(of(values))
        assert histogram.shift == 0
        histogram.largest(values.numel() // 3, never)
    assert histogram_of(of(several("distinct"))).shift > 0


def test_the_coarseness_is_the_least_that_is_enough() -> None:
    values = several("distinct")
    bits = magnitude_bits(values)
    histogram = histogram_of(of(values), limit=1000)
    assert (bits >> histogram.shift).unique().numel() <= 1000 < (bits >> (histogram.shift - 1)).unique().numel()


def test_the_union_counts_what_its_parts_count() -> None:
    values = several("distinct")
    pieces = [values[:50], values[50:90_000], values[90_000:90_000], values[90_000:]]
    parts = [histogram_of(of(piece)) for piece in pieces]
    assert len({part.shift for part in parts}) > 1
    union = Histogram.union(parts)
    for k in (1, 500, 99_999):
        assert select(union, values, k) == select(histogram_of(of(values)), values, k)
    assert Histogram.union([]).count == 0


def test_what_is_not_a_number_is_largest() -> None:
    values = torch.tensor([1.0, -torch.inf, -torch.nan, 2.0])
    histogram = histogram_of(of(values))
    assert select(histogram, values, 1).above == 0
    assert torch.tensor(select(histogram, values, 1).bits, dtype=torch.int32).view(torch.float32).isnan()
    assert select(histogram, values, 2).bits == 0x7F800000


@pytest.mark.parametrize("k", [0, 5])
def test_refuses_places_that_do_not_exist(k: int) -> None:
    with pytest.raises(ValueError, match="of 4"):
        select(histogram_of(of(torch.ones(4))), torch.ones(4), k)


def test_nothing_has_no_ranks() -> None:
    assert histogram_of(of(torch.empty(0))).count == 0


def test_first_equal_elements_end_where_they_end() -> None:
    values = torch.tensor([1.0, 2, -1, 1, 3, 1, -1])
    one = int(magnitude_bits(torch.ones(1)))
    ends = [end_of_equal(of(values), one, quota) for quota in range(7)]
    kept = [[i for i in range(7) if abs(values[i]) == 1 and i < end] for end in ends]
    assert kept == [[], [0], [0, 2], [0, 2, 3], [0, 2, 3, 5], [0, 2, 3, 5, 6], [0, 2, 3, 5, 6]]
