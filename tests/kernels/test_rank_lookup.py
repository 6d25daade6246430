"""The element at a place in the order of magnitudes, equal ones by index, against a stable sort."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from evomerge.kernels import (
    CHUNK,
    Bin,
    ChunkCounts,
    Delta,
    Element,
    bin_holding,
    chunk_counts_bytes,
    chunk_counts_of,
    elements_at,
    elements_of,
    histogram_of,
    magnitude_bits,
    top_k,
    torch_only,
)
from evomerge.kernels.native import passes

COUNT = (1 << 20) + 1234


def several(kind: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(COUNT, generator=generator)
    if kind == "few different":
        return (values * 8).round() / 8
    if kind == "differences of halves":
        return (0.02 * values).bfloat16().float() - (0.02 * values + 3e-4 * values.flip(0)).bfloat16().float()
    if kind == "crowded":
        # More different ones than are looked at one by one, all in one stretch of a coarse histogram.
        near = torch.randint(0, 1 << 12, (COUNT,), generator=generator, dtype=torch.int32)
        crowd = (near + (127 << 23)).view(torch.float32)
        return torch.where(torch.rand(COUNT, generator=generator) < 0.7, crowd, values * 1e-3)
    return values


def of(values: torch.Tensor) -> Delta:
    return Delta(torch.zeros_like(values), values)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("form", ["native", "torch"])
@pytest.mark.parametrize("kind", ["few different", "differences of halves", "different", "crowded"])
def test_agrees_with_a_stable_sort(kind: str, form: str, chunked: bool) -> None:
    values = several(kind)
    bits = magnitude_bits(values)
    order = bits.sort(descending=True, stable=True).indices
    places = [1, 2, 700, COUNT // 10, COUNT // 3, COUNT // 2, COUNT - 1, COUNT]

    def found() -> list[Element]:
        histogram = histogram_of(of(values), limit=500 if kind == "crowded" else None)
        chunks = chunk_counts_of(of(values), histogram) if chunked else None
        pairs = [bin_holding(of(values), histogram, place, chunks) for place in places]
        if kind == "crowded":
            assert max(stretch.count for stretch, _ in pairs) > 1 << 16
        return elements_at([stretch for stretch, _ in pairs], [place for _, place in pairs])

    if form == "torch":
        with torch_only():
            elements = found()
    else:
        elements = found()
    wanted = [int(order[place - 1]) for place in places]
    assert elements == [Element(int(bits[index]), index) for index in wanted]


def test_a_whole_stretch_and_the_largest_of_it() -> None:
    values = torch.tensor([1.0, -3, 1, 2, -1, 2])
    bits, indices = elements_of(Bin(of(values), 0, 31, 6))
    assert indices.tolist() == [0, 1, 2, 3, 4, 5]
    assert bits.tolist() == magnitude_bits(values).tolist()
    chosen = [top_k(bits, count) for count in range(1, 7)]
    assert [last for _, last in chosen] == [1, 3, 5, 0, 2, 4]
    assert chosen[3][0].tolist() == [0, 1, 3, 5]


def test_stretches_over_many_chunks_come_by_index() -> None:
    values = several("few different")
    one = int(magnitude_bits(torch.ones(1)))
    bits, indices = elements_of(Bin(of(values), one, 0, int((values.abs() == 1).sum())))
    assert indices.tolist() == (values.abs() == 1).nonzero().view(-1).tolist()
    assert set(bits.tolist()) == {one}


@pytest.mark.parametrize("kind", ["few different", "differences of halves", "different"])
def test_chunk_counts_are_small_and_count_chunks(kind: str) -> None:
    values = several(kind)
    histogram = histogram_of(of(values))
    counts = chunk_counts_of(of(values), histogram)
    with torch_only():
        other = chunk_counts_of(of(values), histogram)
    arrays = counts.arrays("a")
    assert all(torch.equal(array, other.arrays("a")[name]) for name, array in arrays.items())
    assert sum(array.nbytes for array in arrays.values()) <= chunk_counts_bytes(COUNT)
    bits = magnitude_bits(values)
    assert counts.bin_keys.numel() > 0 or histogram.shift
    for digit in counts.bin_keys.tolist():
        row = counts.row(digit)
        assert row is not None
        assert row.tolist() == [int((part == digit).sum()) for part in bits.split(CHUNK)]
    assert counts.row(1) is None


def test_of_more_values_than_keys_have_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    values = several("differences of halves")
    histogram = histogram_of(of(values), limit=300)
    pairs = [bin_holding(of(values), histogram, place) for place in (1, COUNT // 3, COUNT)]
    stretches, places = [stretch for stretch, _ in pairs], [place for _, place in pairs]
    wanted = elements_at(stretches, places)
    monkeypatch.setattr("evomerge.kernels.rank_lookup.MAX_INDEXED", 1000)
    assert elements_at(stretches, places) == wanted
    with pytest.raises(ValueError, match="at most 1000"):
        elements_of(stretches[0])


def test_one_pass_at_most_and_none_where_chunks_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    run = passes.run

    def counted(name: str, job: Any, numel: int) -> None:
        called.append(name)
        run(name, job, numel)

    kinds = ["few different", "differences of halves", "different"]
    base = torch.zeros(COUNT)
    deltas = [Delta(base, several(kind)) for kind in kinds]
    histograms = [histogram_of(delta) for delta in deltas]
    chunks = [chunk_counts_of(delta, own) for delta, own in zip(deltas, histograms, strict=True)]

    def look(known: Sequence[ChunkCounts | None]) -> list[Element]:
        asked = [
            bin_holding(delta, histogram, COUNT // 3, own)
            for delta, histogram, own in zip(deltas, histograms, known, strict=True)
        ]
        return elements_at([stretch for stretch, _ in asked], [place for _, place in asked])

    monkeypatch.setattr(passes, "run", counted)
    without = look([None] * 3)
    assert called == ["evomerge_sort_keys"]
    assert look(chunks) == without
    assert called == ["evomerge_sort_keys"] * 2  # for the one whose magnitudes all differ
    deltas, histograms, chunks = deltas[:2], histograms[:2], chunks[:2]
    assert look(chunks) == without[:2]
    assert len(called) == 2
