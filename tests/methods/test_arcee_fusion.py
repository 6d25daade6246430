"""Arcee Fusion, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from evomerge.contracts.method_cases import family, same_bits
from evomerge.methods import TensorContext
from evomerge.methods.arcee_fusion import order_statistics, prepare
from tests.methods.one_tensor import merge

KINDS = ("float64", "float32")


def fused(model: torch.Tensor, base: torch.Tensor, cutoff: float = 1.5) -> torch.Tensor:
    return merge(("arcee_fusion", ()), [model], base, {"cutoff": cutoff})


def test_what_matters_most_is_taken_over() -> None:
    # One row, so its divergence is a common factor: importance is 0, 1, 2, 3, 8 times it. Median 2, quartiles 1 and 3.
    base, delta = torch.zeros(5), torch.tensor([0.0, -1.0, 2.0, -3.0, 8.0])
    taken = {1.5: [4], 0.5: [3, 4], 0.0: [2, 3, 4], -1.0: [0, 1, 2, 3, 4], 4.0: []}
    for cutoff, elements in taken.items():
        got = fused(base + delta, base, cutoff)
        assert got.nonzero().view(-1).tolist() == [i for i in elements if i]
        assert torch.equal(got[elements], delta[elements])


def test_rows_count_by_their_divergence() -> None:
    """Equal deltas: those of the row whose distribution changes more come first, and adding to all changes none."""
    base = torch.zeros(3, 2)
    model = torch.tensor([[0.5, 0.5], [1.0, 0.0], [1.0, -1.0]])
    exact, rounded = (prepare(TensorContext("x"), base, [model], {"divergence": kind})["divergence"] for kind in KINDS)
    half = math.log(2)
    wanted = [0.0, *(sum(p * (math.log(p) + half) for p in (1 / (1 + math.exp(-d)), 1 / (1 + math.exp(d))))
                     for d in (1.0, 2.0))]  # fmt: skip
    for found in (exact, rounded):
        torch.testing.assert_close(found, torch.tensor(wanted), rtol=1e-5, atol=1e-7)
    # A row of p = 1/2 + 1e-5 diverges by 2e-10, less than float32 tells from nothing.
    tiny = torch.tensor([[2e-5, -2e-5]])
    apart = [
        prepare(TensorContext("x"), torch.zeros(1, 2), [tiny], {"divergence": kind})["divergence"].item()
        for kind in KINDS
    ]
    assert apart[0] == pytest.approx(2e-10, rel=1e-3)
    assert apart[1] != pytest.approx(2e-10, rel=0.1)
    assert fused(model, base).tolist() == [[0.0, 0.0], [0.0, 0.0], [1.0, -1.0]]


def test_quartiles_are_those_of_sorting() -> None:
    values = torch.cat(
        [family(1, (40_000,))[0].abs(), torch.zeros(1000), torch.full((999,), 0.5), torch.tensor([1e-40])]
    )
    ranks = [0, 1, 1000, 9_000, 20_999, 30_000, 41_999]
    got = order_statistics(lambda: iter(values.split(10_000)), ranks)
    assert torch.equal(got, values.sort().values[ranks])


@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (1,), (5,), (4, 3, 2)])
def test_where_nothing_changed_the_base_stays(shape: tuple[int, ...]) -> None:
    base = torch.full(shape, -0.0)
    assert same_bits(fused(base.clone(), base), base)
    moved = fused(base + 1, base)
    assert moved.shape == base.shape
    # Of a constant step no row's distribution changes, so nothing is told apart and everything is taken over.
    assert torch.equal(moved, base + 1)
