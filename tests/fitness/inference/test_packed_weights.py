"""Rearranged weights: the same bits, only where they serve, and gone afterwards."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from evomerge.fitness.inference import packed_weights as packing
from evomerge.fitness.inference.packed_weights import packed_bytes, packed_weights
from tests.fitness.inference.building import VOCABULARY, loud

SUPPORTED = pytest.mark.skipif(not packing._supported(), reason="no products of bfloat16 on this processor")


def layers(model: nn.Module) -> list[nn.Linear]:
    return [layer for layer in model.modules() if type(layer) is nn.Linear]


def packed(model: nn.Module) -> list[nn.Linear]:
    return [layer for layer in layers(model) if "forward" in vars(layer)]


@SUPPORTED
@torch.inference_mode()
@pytest.mark.parametrize("kind", ["llama", "qwen2"])  # without and with biases
@pytest.mark.parametrize("tokens", [1, 7, 130])
def test_logits_are_the_same_bits(kind: str, tokens: int) -> None:
    model = loud(kind).to(torch.bfloat16)
    ids = torch.arange(tokens)[None] % (VOCABULARY - 3) + 3
    plain = model(input_ids=ids).logits
    with packed_weights(model):
        assert packed(model) == layers(model)
        assert torch.equal(model(input_ids=ids).logits, plain)
    assert not packed(model)


@SUPPORTED
def test_layers_are_themselves_again_whatever_happens() -> None:
    model = loud("llama").to(torch.bfloat16)
    with pytest.raises(KeyError), packed_weights(model):
        raise KeyError
    assert not packed(model)


def test_other_types_and_replaced_layers_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = loud("llama")
    with packed_weights(model):
        assert not packed(model)
    model = model.to(torch.bfloat16)
    monkeypatch.setattr(layers(model)[0], "forward", len)
    with packed_weights(model):
        assert layers(model)[0].forward is len
    assert layers(model)[0].forward is len


@SUPPORTED
def test_room_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    model = loud("llama").to(torch.bfloat16)
    monkeypatch.setattr(packing, "MOST_BYTES", 3 * layers(model)[0].weight.nbytes)
    with packed_weights(model):
        assert 0 < sum(layer.weight.nbytes for layer in packed(model)) <= packing.MOST_BYTES


def test_bytes_are_those_of_the_weights_up_to_the_bound() -> None:
    assert packed_bytes(10**6, "float32", "cpu") == packed_bytes(10**6, "bfloat16", "cuda") == 0
    assert packed_bytes(10**12, "bfloat16", "cpu") == packing.MOST_BYTES * packing._supported()
