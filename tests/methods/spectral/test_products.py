"""Products of stored vectors: bfloat16 factors where the result is bfloat16, float32 anywhere else."""

from __future__ import annotations

import pytest
import torch

from evomerge import methods
from evomerge.contracts.method_cases import family, merge_tensor
from evomerge.methods._shared.spectral import products
from evomerge.methods._shared.spectral.products import factor_dtype, factors, multiplies_bfloat16


def test_factors_are_rounded_only_where_stored_ones_are() -> None:
    coarse = torch.bfloat16 if multiplies_bfloat16() else torch.float32
    assert factor_dtype("float16", torch.device("cpu")) == coarse
    assert factor_dtype("float32", torch.device("cpu")) == torch.float32
    assert factor_dtype("float16", torch.device("cuda")) == torch.float32


@pytest.mark.parametrize("counts", [(1,), (3, 0, 14), (16,), (5, 12)])
def test_rows_of_zeros_add_nothing(counts: tuple[int, ...]) -> None:
    left = [torch.randn(count, 6).half() for count in counts]
    right = [torch.randn(count, 9).half() for count in counts]
    exact = (factors(left, torch.float32), factors(right, torch.float32))
    filled = (factors(left, torch.bfloat16), factors(right, torch.bfloat16))
    assert len(exact[0]) == sum(counts)
    assert len(filled[0]) % 16 == 0
    assert not filled[0][sum(counts) :].any()
    wanted = exact[0].t() @ exact[1]
    torch.testing.assert_close(
        (filled[0].t() @ filled[1]).float(), wanted, rtol=0, atol=0.03 * float(wanted.abs().max())
    )


@pytest.mark.parametrize("name", ["star", "truncated_svd"])
@pytest.mark.parametrize(("fraction", "rounded"), [(0.02, False), (0.3, True), (0.6, True)])
def test_rounded_factors_are_good_to_a_part_of_an_update(
    name: str, fraction: float, rounded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever processor there is: a partial sum is the larger part; without one, factors are not rounded."""
    method = methods.load(name)
    base, models = family(3, (300, 200))
    point = {"weight": (0.5, 0.0, 1.0), "lambda": 0.9, "eta": fraction, "rank": fraction}

    def update(stored: str, multiplies: bool) -> torch.Tensor:
        monkeypatch.setattr(products, "multiplies_bfloat16", lambda: multiplies)
        return merge_tensor(method, method.resolve({"stored": stored}), (base, models), point) - base

    exact, plain, coarse = update("float32", True), update("float16", False), update("float16", True)
    assert torch.equal(update("float32", False), exact)
    assert torch.equal(plain, coarse) != rounded
    errors = [float((own - exact).norm() / exact.norm()) for own in (plain, coarse)]
    assert errors[0] < 1 / 2000
    assert errors[1] < 1 / 400
