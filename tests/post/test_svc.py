"""SVC by hand: deltas whose singular vectors are the axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from evomerge.errors import InputError
from evomerge.methods import TensorSources
from evomerge.post import StepContext, load

SHARED = [torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, 1.0]])]


def applied(
    deltas: Sequence[torch.Tensor], alpha: float, merged: torch.Tensor | None = None, kind: str = "mlp", **options: Any
) -> torch.Tensor:
    """The sum of some deltas, or another merged delta of theirs, calibrated."""
    step, base = load("svc"), torch.full(deltas[0].shape, 10.0)
    context = StepContext("weight", kind=kind, options=step.resolve(options))
    total = torch.stack(list(deltas)).sum(0) if merged is None else merged
    before = total.clone()
    found = step.apply(context, TensorSources(base, [base + own for own in deltas], {}), before, {"alpha": alpha})
    return before if found is None else found


@pytest.mark.parametrize(("alpha", "second"), [(1.0, 1.0), (0.5, 1 / 0.75), (0.1, 1 / 0.55)])
def test_a_shared_direction_counts_once(alpha: float, second: float) -> None:
    """Both have the first axis: 4 projects to each as 2. The first expert has nothing of the second one."""
    torch.testing.assert_close(applied(SHARED, alpha), torch.diag(torch.tensor([2.0, second])))


def test_the_side_of_the_singular_vectors_matters() -> None:
    """The rows (1, 1) and (1, -1) add up to (2, 0), which each has a half of; the columns are the same."""
    deltas = [torch.tensor([[1.0, 1.0], [0.0, 0.0]]), torch.tensor([[1.0, -1.0], [0.0, 0.0]])]
    torch.testing.assert_close(applied(deltas, 1.0), torch.tensor([[2.0, 0.0], [0.0, 0.0]]))
    torch.testing.assert_close(applied(deltas, 1.0, side="right"), torch.tensor([[1.0, 0.0], [0.0, 0.0]]))


def test_one_expert_may_be_looked_at_alone() -> None:
    torch.testing.assert_close(applied(SHARED, 0.5, target=0), torch.diag(torch.tensor([2.0, 1.0])))
    torch.testing.assert_close(applied(SHARED, 3.0, target=1), torch.diag(torch.tensor([4 / 3, 1 / 3])))
    with pytest.raises(InputError, match="tensor 'weight': option target is 2, but there are 2 models"):
        applied(SHARED, 0.5, target=2)


def test_turned_deltas_are_calibrated_alike() -> None:
    draw = torch.Generator().manual_seed(0)
    deltas = [torch.randn(6, 4, generator=draw) for _ in range(3)]
    turn = torch.linalg.qr(torch.randn(6, 6, generator=draw))[0]
    for side in ("left", "right"):
        found = applied([turn @ own for own in deltas], 1 / 3, side=side)
        torch.testing.assert_close(found, turn @ applied(deltas, 1 / 3, side=side), atol=1e-5, rtol=1e-4)


def test_stacked_matrices_are_calibrated_one_by_one() -> None:
    stacked = [torch.stack([own, 3 * own]) for own in SHARED]
    one = applied(SHARED, 0.5)
    torch.testing.assert_close(applied(stacked, 0.5), torch.stack([one, 3 * one]))


def test_other_tensors_stay_as_they_were_merged() -> None:
    vectors = [torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.0])]
    assert torch.equal(applied(vectors, 1.0), vectors[0] + vectors[1])
    assert torch.equal(applied(SHARED, 1.0, kind="embedding", embeddings="keep"), SHARED[0] + SHARED[1])
    assert not torch.equal(applied(SHARED, 1.0, kind="embedding"), SHARED[0] + SHARED[1])
    for shape in ((), (0,), (0, 3), (2, 0)):
        assert applied([torch.zeros(shape)] * 2, 1.0).shape == shape
    assert not applied([torch.zeros(2, 2)] * 2, 1.0).any()


def test_what_is_not_finite_stays() -> None:
    merged = torch.tensor([[torch.nan, 1.0], [1.0, 2.0]])
    assert applied(SHARED, 1.0, merged).isnan()[0, 0]
