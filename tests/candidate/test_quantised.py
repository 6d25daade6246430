"""Weights rounded as they will be served: torchao's own numbers, and the layers that are rounded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file

from evomerge.candidate.quantised import quantise, rounded
from evomerge.errors import InputError

GOLDEN = Path(__file__).parents[1] / "golden" / "quantised" / "torchao.safetensors"
SCHEMES = ("int8", "int4", "fp8")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_weights_are_torchaos_own(dtype: str) -> None:
    """To the last bit, in every number type; what torchao made of them is in the file."""
    golden = load_file(GOLDEN)
    for scheme in SCHEMES:
        found = rounded(golden[f"{dtype}.weight"], scheme)
        assert found is not None
        assert torch.equal(found, golden[f"{dtype}.{scheme}"]), scheme


def test_by_hand() -> None:
    """One row of int8: the scale is 2.55 / 127.5 = 0.02; and int4: sixteen steps from the least to the largest."""
    row = torch.tensor([[2.55, 0.031, -0.05, 0.0]])
    assert rounded(row, "int8") == pytest.approx(torch.tensor([[2.54, 0.04, -0.04, 0.0]]), abs=1e-6), "127 is the most"
    row = torch.linspace(-1.0, 2.0, 32)[None]
    found = rounded(row, "int4")
    assert found is not None
    assert sorted({round(value, 4) for value in found[0].tolist()}) == pytest.approx([-1 + 0.2 * k for k in range(16)])
    assert float((found - row).abs().max()) <= 0.1 + 1e-6
    for scheme in SCHEMES:
        zeros = rounded(torch.zeros(2, 64), scheme)
        assert zeros is not None
        assert zeros.isfinite().all(), scheme


def llama(hidden: int, tied: bool) -> transformers.PreTrainedModel:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        hidden_size=hidden, intermediate_size=2 * hidden, num_hidden_layers=2, num_attention_heads=2, vocab_size=40,
        tie_word_embeddings=tied,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config).eval()


@pytest.mark.parametrize("tied", [True, False])
def test_linear_layers_are_rounded_and_embeddings_head_and_norms_are_not(tied: bool) -> None:
    for scheme in SCHEMES:
        model = llama(64, tied)
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        assert quantise(model, scheme) == 2 * 7
        changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
        assert changed == {name for name in before if "_proj" in name}
        for name in changed:
            assert torch.equal(model.state_dict()[name], rounded(before[name], scheme)), name
        assert quantise(model, "none") == 0


def test_what_cannot_be_quantised_is_told() -> None:
    with pytest.raises(InputError, match=r"no linear layers whose rows are a multiple of 32"):
        quantise(llama(24, True), "int4")
    with pytest.raises(InputError, match=r"model.quantise=int8: Embedding has no linear layers to quantise"):
        quantise(torch.nn.Embedding(4, 4), "int8")
