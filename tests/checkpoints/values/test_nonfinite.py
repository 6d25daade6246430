"""NaN and infinity are found and named, wherever they hide."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from evomerge.checkpoints import find_nonfinite, open_source
from evomerge.checkpoints.values.nonfinite import is_finite
from tests.building import rewrite


def test_good_weights(llama: Path) -> None:
    assert find_nonfinite(open_source(llama)) == ()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_one_bad_element(llama: Path, copy_of: Callable[..., Path], value: float) -> None:
    folder = copy_of(llama)

    def poison(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.layers.1.self_attn.k_proj.weight"][3, 5] = value

    rewrite(folder, poison)
    (problem,) = find_nonfinite(open_source(folder))
    assert "'model.layers.1.self_attn.k_proj.weight'" in problem
    assert str(folder / "model.safetensors") in problem
    assert "1 of 128" in problem


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_any_position_and_type(dtype: torch.dtype) -> None:
    for position in (0, 511, 1023):
        tensor = torch.full((1024,), torch.finfo(dtype).max, dtype=dtype)
        assert is_finite(tensor)
        tensor[position] = float("nan")
        assert not is_finite(tensor)


def test_what_cannot_be_nonfinite() -> None:
    assert is_finite(torch.arange(3))
    assert is_finite(torch.zeros(0))
    assert is_finite(torch.tensor(1.5))


def test_masks_may_hold_infinity(llama: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(llama)
    table = {"model.layers.0.self_attn.masked_bias": torch.tensor(float("-inf"))}
    rewrite(folder, lambda tensors: tensors.update(table))
    assert find_nonfinite(open_source(folder)) == ()
