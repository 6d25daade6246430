"""Passes over blocks."""

from __future__ import annotations

import pytest
import torch

from evomerge.kernels import fill, flat, spans


@pytest.mark.parametrize("numel", [0, 1, 9, 10, 11, 35])
def test_spans_cover_everything_once(numel: int) -> None:
    assert [i for span in spans(numel, 10) for i in range(numel)[span]] == list(range(numel))


@pytest.mark.parametrize("block", [1, 5, 64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_fill_rounds_at_the_edge_whatever_the_strides(block: int, dtype: torch.dtype) -> None:
    values = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    plain = torch.zeros(6, 8, dtype=dtype)
    turned = torch.zeros(8, 6, dtype=dtype).t()
    parameter = torch.nn.Parameter(torch.zeros(6, 8, dtype=dtype))
    for out in (plain, turned, parameter):
        fill(out, lambda span: flat(values)[span], block)
        assert torch.equal(out, values.to(dtype))
