"""Layers spread over several devices, one of them a GPU at least: merged where they lie, and the answers of one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from evomerge.merging import Checkpoints, LiveModel, Merger, Spread
from tests.merging.conftest import Family, make_recipe


@pytest.mark.parametrize("others", [("cuda:1",), ("cpu",)], ids=["two GPUs", "a GPU and the CPU"])
@pytest.mark.parametrize("model_type", ["llama", "mixtral"])
def test_candidates_are_those_of_one_gpu(
    model_type: str, others: tuple[str, ...], family: Callable[..., Family]
) -> None:
    if "cuda:1" in others and torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    base, *experts = family(model_type, torch.float32)
    tokens = (torch.arange(24).reshape(2, 12) % 16).cuda()
    for method in ("task_arithmetic", "ties"):
        recipe = make_recipe(method, experts, base)
        checkpoints = Checkpoints.open(recipe)
        one = LiveModel.load(base, device="cuda:0")
        one.install(Merger(checkpoints, device="cuda:0"), recipe)
        spread = LiveModel.load(base, device=Spread(("cuda:0", *others)))
        spread.install(Merger(checkpoints, device="cuda:0"), recipe)
        devices = {parameter.device for parameter in spread.model.parameters()}
        assert devices == {torch.device(name) for name in ("cuda:0", *others)}
        with torch.inference_mode():
            expected, found = (live.model(input_ids=tokens).logits for live in (one, spread))
        assert found.device == expected.device
        if "cuda:1" in others:
            assert spread.checksum() == one.checksum()
            assert torch.equal(found, expected)
        else:  # the CPU adds up in another order
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
