"""The arrangements that the study of rounding compares read the same: in float32 their states are alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from experiments.generation import noise
from tests.fitness.inference.building import VOCABULARY, loud


@torch.inference_mode()
def test_arrangements_read_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "TOKENS", 12)
    model, draw = loud("llama"), np.random.default_rng(0)
    prompts = [draw.integers(3, VOCABULARY, count).tolist() for count in (5, 19, 12)]
    answers, alone = zip(*(noise.answered(model, prompt) for prompt in prompts), strict=True)
    assert [len(answer) for answer in answers] == [12] * 3
    ways = {
        "batched": noise.batched(model, prompts, answers),
        "packed": noise.packed(model, prompts, answers),
        "lanes": noise.packed(model, prompts, answers, lanes=True),
    }
    for found in ways.values():
        for states, own in zip(found, alone, strict=True):
            assert states.shape == own.shape
            torch.testing.assert_close(states, own, rtol=1e-3, atol=1e-3)


@torch.inference_mode()
def test_a_wide_stream_stays_as_near_to_float32() -> None:
    """A model in bfloat16 whose sums are not rounded; its hooks are gone afterwards."""
    exact = loud("llama").bfloat16().float()
    model = loud("llama").bfloat16()
    tokens = torch.arange(3, 60)[None]
    wanted, own = exact(tokens).logits, model(tokens).logits
    with noise.float32_stream(model):
        wide = model(tokens).logits
    assert wide.dtype == own.dtype
    assert not torch.equal(wide, own)
    assert (wide.float() - wanted).std() < 2 * (own.float() - wanted).std()
    assert torch.equal(model(tokens).logits, own)


def test_ratios_are_to_batches_of_the_same_items() -> None:
    batches = [np.full(3, 2.0), np.full(3, -4.0)]
    table = noise.summary({noise.BATCHES: batches, "half": [one / 2 for one in batches]})
    assert table[noise.BATCHES]["mean size"] == 3.0
    assert table["half"]["times batches, root mean square"] == [0.5, 0.5, 0.5]
    assert table["half"]["times batches, mean size"] == [0.5, 0.5, 0.5]
