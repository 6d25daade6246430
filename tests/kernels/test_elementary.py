"""Explicit polynomials against torch in float64."""

from __future__ import annotations

import torch

from evomerge.kernels.reference import elementary


def test_exponential() -> None:
    x = torch.cat([torch.linspace(-87, 88, 100_001), torch.linspace(-1e-3, 1e-3, 1001)])
    torch.testing.assert_close(elementary.exp(x).double(), x.double().exp(), rtol=3e-7, atol=0)
    assert elementary.exp(torch.zeros(1)).item() == 1
    assert elementary.exp(torch.tensor([torch.nan])).isnan().all()


def test_hyperbolic_tangent() -> None:
    x = torch.cat([torch.linspace(-20, 20, 100_001), torch.logspace(-30, 0, 1001), torch.tensor([1e30, -1e30])])
    torch.testing.assert_close(elementary.tanh(x).double(), x.double().tanh(), rtol=3e-7, atol=0)
    assert elementary.tanh(torch.tensor([0.0, torch.inf, -torch.inf])).tolist() == [0, 1, -1]
    assert elementary.tanh(torch.tensor([torch.nan])).isnan().all()


def test_bits_do_not_depend_on_place_or_threads() -> None:
    x = torch.randn(100_003, generator=torch.Generator().manual_seed(0))
    for function in (elementary.exp, elementary.tanh):
        whole, threads = function(x), torch.get_num_threads()
        try:
            torch.set_num_threads(3)
            assert torch.equal(function(x), whole)
        finally:
            torch.set_num_threads(threads)
        assert torch.equal(torch.cat([function(piece) for piece in x.split(777)]), whole)
