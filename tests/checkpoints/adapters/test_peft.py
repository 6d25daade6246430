"""Tensors of an adapter on its base are those that PEFT's ``merge_and_unload`` gives, within float32 rounding."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from evomerge.checkpoints import AdapterSource, open_source
from evomerge.errors import InputError
from tests.building import tiny

peft = pytest.importorskip("peft")

LLAMA = ["q_proj", "v_proj", "up_proj", "down_proj"]
# Architecture and configuration; what they name says what is to be shown.
MERGED: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("llama", {"target_modules": LLAMA}),
    (
        "llama",
        {
            "target_modules": LLAMA, "lora_alpha": 6, "use_rslora": True,
            "rank_pattern": {"layers.0.self_attn.q_proj": 2, ".*down_proj": 3},
            "alpha_pattern": {"up_proj": 1, "1.mlp.up_proj": 7},
        },
    ),
    ("llama", {"target_modules": [*LLAMA, "embed_tokens"], "use_dora": True}),
    ("llama", {"target_modules": LLAMA, "modules_to_save": ["lm_head", "embed_tokens", "norm"]}),
    ("llama", {"target_modules": [*LLAMA, "embed_tokens", "lm_head"]}),
    ("llama", {"target_modules": LLAMA, "trainable_token_indices": {"embed_tokens": [3], "lm_head": [4, 5]}}),
    ("qwen2", {"target_modules": LLAMA, "bias": "all"}),
    ("qwen2", {"target_modules": LLAMA, "bias": "lora_only"}),
    ("qwen2", {"target_modules": ["q_proj", "v_proj"], "lora_bias": True}),
    ("qwen2", {"target_modules": [*LLAMA, "embed_tokens"]}),
    ("qwen2", {"target_modules": LLAMA, "trainable_token_indices": [3, 7]}),
    ("qwen2", {"target_modules": LLAMA, "modules_to_save": ["embed_tokens"], "ensure_weight_tying": True}),
    ("gpt2", {"target_modules": ["c_attn", "c_proj", "c_fc"], "fan_in_fan_out": True}),
    ("gpt2", {"target_modules": ["attn.c_proj"], "use_dora": True}),  # square, and stored the other way round
    ("phi3", {"target_modules": ["qkv_proj", "gate_up_proj", "o_proj"]}),
    ("gpt_neox", {"target_modules": ["query_key_value", "dense"], "bias": "all"}),
    ("llava", {"target_modules": LLAMA}),  # transformers has other names in memory than the file
    ("mixtral", {"target_modules": ["q_proj", "gate"]}),
)  # fmt: skip


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """PEFT warns of much that is meant here; bars and lines say nothing to a test."""
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    transformers.logging.set_verbosity(before)


def loaded(base: Path) -> transformers.PreTrainedModel:
    auto = transformers.AutoModelForImageTextToText if base.name == "llava" else transformers.AutoModelForCausalLM
    return auto.from_pretrained(base, dtype=torch.float32)


def trained(base: Path, folder: Path, config: Mapping[str, Any]) -> Path:
    """An adapter as PEFT saves it, every trained value moved."""
    torch.manual_seed(0)
    model = peft.get_peft_model(loaded(base), peft.LoraConfig(**{"r": 4, **config}))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += torch.randn(parameter.shape) * 0.1
    model.save_pretrained(folder)
    return folder


def merged(base: Path, adapter: Path, folder: Path) -> dict[str, torch.Tensor]:
    """What PEFT makes of base and adapter, by the names on disk."""
    peft.PeftModel.from_pretrained(loaded(base), adapter).merge_and_unload().save_pretrained(folder)
    return load_file(folder / "model.safetensors")


def largest_difference(source: AdapterSource, wanted: Mapping[str, torch.Tensor]) -> float:
    assert source.specs.keys() == wanted.keys()
    assert all(source.specs[name].shape == tensor.shape for name, tensor in wanted.items())
    return max(float((source.tensor(name) - tensor).abs().max()) for name, tensor in wanted.items())


def test_equal_to_merge_and_unload(tmp_path: Path) -> None:
    bases = {kind: tiny(kind, tmp_path / kind, 0) for kind in {kind for kind, _ in MERGED}}
    for number, (kind, config) in enumerate(MERGED):
        adapter = trained(bases[kind], tmp_path / f"{number}", config)
        source = AdapterSource.open(open_source(bases[kind]), adapter)
        assert largest_difference(source, merged(bases[kind], adapter, tmp_path / f"{number}-merged")) < 1e-5, config
        own = source.base
        untouched = [name for name in source.specs if name not in source.changed]
        assert untouched, config
        assert all(source.tensor(name).data_ptr() == own.tensor(name).data_ptr() for name in untouched)
        changed = [name for name in source.changed if not source.tensor(name).equal(own.tensor(name))]
        assert len(changed) >= len(source.changed) - 1, config  # embeddings that PEFT saves along may be the base's


def test_experts_by_their_names_of_old(tmp_path: Path) -> None:
    """Adapters that were trained before transformers stacked a Mixtral's experts name them as the files do."""
    base, generator = tiny("mixtral", tmp_path / "mixtral", 0), torch.Generator().manual_seed(1)
    tensors = {}
    for layer in range(2):
        for expert in range(3):
            for name, (outputs, inputs) in {"w1": (32, 16), "w2": (16, 32), "w3": (32, 16)}.items():
                module = f"base_model.model.model.layers.{layer}.block_sparse_moe.experts.{expert}.{name}"
                tensors[f"{module}.lora_A.weight"] = torch.randn(2, inputs, generator=generator) * 0.1
                tensors[f"{module}.lora_B.weight"] = torch.randn(outputs, 2, generator=generator) * 0.1
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    save_file(tensors, adapter / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 6, "target_modules": ["w1", "w2", "w3"]}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    source = AdapterSource.open(open_source(base), adapter)
    assert len(source.changed) == 18
    assert largest_difference(source, merged(base, adapter, tmp_path / "merged")) < 1e-5


def test_a_bare_base(tmp_path: Path) -> None:
    """Its names lack the prefix of the model with a head, which the adapter was trained on."""
    base = tiny("gpt2", tmp_path / "gpt2", 0)
    transformers.AutoModel.from_pretrained(base).save_pretrained(tmp_path / "bare")
    adapter = trained(base, tmp_path / "adapter", {"target_modules": ["c_attn"], "fan_in_fan_out": True})
    whole, bare = (AdapterSource.open(open_source(folder), adapter) for folder in (base, tmp_path / "bare"))
    assert bare.changed == {"h.0.attn.c_attn.weight", "h.1.attn.c_attn.weight"}
    assert all(bare.tensor(name).equal(whole.tensor(f"transformer.{name}")) for name in bare.changed)


@pytest.mark.parametrize(
    ("kind", "config", "told"),
    [
        ("qwen2", {"modules_to_save": ["lm_head"]}, "untie them in the base first"),
        ("qwen2", {"modules_to_save": ["embed_tokens"]}, "untie them in the base first"),
        ("mixtral", {"target_parameters": ["mlp.experts.down_proj"]}, "stacked experts"),
    ],
)
def test_refused(tmp_path: Path, kind: str, config: Mapping[str, Any], told: str) -> None:
    base = tiny(kind, tmp_path / "base", 0)
    adapter = trained(base, tmp_path / "adapter", {"target_modules": ["q_proj"], **config})
    with pytest.raises(InputError, match=told) as caught:
        AdapterSource.open(open_source(base), adapter)
    assert all(str(adapter) in problem for problem in caught.value.problems)
