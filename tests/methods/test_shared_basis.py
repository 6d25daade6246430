"""The basis that deltas share, of few directions and of many."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from evomerge.methods._shared.spectral import shared_basis as module
from evomerge.methods._shared.spectral.shared_basis import shared_basis

LEAST = 1e-5


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def low_rank(rows: int, columns: int, ranks: Sequence[int]) -> list[torch.Tensor]:
    return [draw(rows, r, seed=n) @ draw(r, columns, seed=50 + n) * 0.1 for n, r in enumerate(ranks)]


@pytest.mark.parametrize(("rows", "columns"), [(96, 40), (40, 96), (64, 64)])
def test_few_directions_are_found_as_a_decomposition_finds_them(
    rows: int, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    deltas = low_rank(rows, columns, [2, 1])
    basis, blocks = shared_basis(deltas, LEAST)
    assert basis.shape == (3, rows)
    torch.testing.assert_close(basis @ basis.t(), torch.eye(3), atol=1e-5, rtol=0)
    for block, delta in zip(blocks, deltas, strict=True):
        torch.testing.assert_close(basis.t() @ block, delta, atol=1e-5, rtol=0)
    monkeypatch.setattr(module, "_PART", 10**9)  # no sample: everything is decomposed
    whole = shared_basis(deltas, LEAST)
    for own, other in zip(blocks, whole[1], strict=True):
        torch.testing.assert_close(own.abs(), other.abs(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("noise", "rank"), [(1e-8, 3), (1e-5, 48)])
def test_directions_outside_the_sample_count_where_they_are_long_enough(noise: float, rank: int) -> None:
    """Rounding of weights is no direction; of the largest of 48 small directions each is above the limit."""
    deltas = [own + noise * draw(48, 200, seed=9 + n) for n, own in enumerate(low_rank(48, 200, [2, 1]))]
    basis, _ = shared_basis(deltas, LEAST)
    assert len(basis) == rank


def test_columns_of_all_deltas_bound_the_directions() -> None:
    deltas = [draw(30, 2), draw(30, 3, seed=1)[:, :2]]
    basis, blocks = shared_basis(deltas, LEAST)
    assert basis.shape == (4, 30)
    torch.testing.assert_close(torch.cat([basis.t() @ own for own in blocks], 1), torch.cat(deltas, 1))
