"""Configs are compared by what transformers derives from them, whatever version wrote them.

``configs.json`` holds the configs of tiny models as transformers 4.31.0, 4.42.4 and 4.46.3 saved them, and as 5.24.0
saved what 4.46.3 had written; each version knows some of the types only.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from evomerge.checkpoints import CheckpointSource, Comparison, compare, open_source
from evomerge.checkpoints.comparison.config import config_differences
from tests.building import edit_json

CONFIGS: dict[str, dict[str, dict[str, Any]]] = json.loads(Path(__file__).with_name("configs.json").read_text())
NEWEST = "5.24.0"
OLDEST = {kind: next(iter(versions)) for kind, versions in CONFIGS.items()}
NULL: Any = object()  # written as null; a field whose value is None is left out

MYSTERY = {"model_type": "mystery", "num_attention_heads": 4, "hidden_size": 32, "rms_norm_eps": 1e-6}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The weights of a kind, built once."""
    home, made = tmp_path_factory.mktemp("weights"), {}

    def build(kind: str) -> Path:
        if kind not in made:
            folder = home / kind
            folder.mkdir()
            (folder / "config.json").write_text(json.dumps(CONFIGS[kind][NEWEST]))
            torch.manual_seed(0)
            AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
            made[kind] = folder / "model.safetensors"
        return made[kind]

    return build


@pytest.fixture
def written(tmp_path: Path, weights: Callable[[str], Path]) -> Callable[..., Path]:
    """A checkpoint whose config is as some version wrote it, but for some changes."""
    names = (tmp_path / f"model-{number}" for number in itertools.count())

    def make(kind: str, version: str, **changes: Any) -> Path:
        folder = next(names)
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(CONFIGS[kind][version]))
        edit_json(folder / "config.json", **{name: value for name, value in changes.items() if value is not NULL})
        nulls = {name: None for name, value in changes.items() if value is NULL}
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **nulls}))
        os.link(weights(kind), folder / "model.safetensors")
        return folder

    return make


def differences(reference: Path, other: Path) -> Comparison:
    """The comparison without the remark on tokenizers, which these folders do not have."""
    found = compare(open_source(reference), [open_source(other)])
    return Comparison(found.problems, tuple(text for text in found.warnings if "vocabularies" not in text))


@pytest.mark.parametrize("kind", CONFIGS)
def test_versions_of_one_config_are_silent(kind: str, written: Callable[..., Path], tmp_path: Path) -> None:
    """Both ways round, all versions with each other and with what the installed version makes of each."""
    folders = [written(kind, version) for version in CONFIGS[kind]]
    for folder in tuple(folders):
        again = written(kind, NEWEST)
        AutoConfig.from_pretrained(folder).save_pretrained(again)
        folders.append(again)
    for reference, other in itertools.permutations(folders, 2):
        assert differences(reference, other) == Comparison((), ()), (reference, other)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        # As the model's makers published it: fields that no class reads, or that follow from others.
        ("gemma2", {"hidden_act": "gelu_pytorch_tanh", "sliding_window_size": 4096, "cache_implementation": "hybrid"}),
        ("llama", {"head_dim": None, "attention_bias": None, "mlp_bias": None}),
        ("llama", {"rope_theta": 10000, "pretraining_tp": 2, "attention_dropout": 0.1, "use_cache": False}),
        ("llama", {"hidden_act": "swish", "architectures": ["LlamaModel"], "torch_dtype": "float16"}),
        ("mistral", {"head_dim": None}),
        ("llama", {"rope_scaling": {"type": "default", "finetuned": True, "factor": 1.0}}),
        ("qwen2", {"use_sliding_window": False, "sliding_window": 131072, "max_window_layers": 1}),
        ("gpt2", {"n_ctx": 512, "activation_function": "gelu_pytorch_tanh", "task_specific_params": {"a": {}}}),
        ("opt", {"prefix": "</s>", "_remove_final_layer_norm": False, "activation_dropout": 0.1}),
        ("llama", {"head_dim": NULL, "attention_bias": NULL, "mlp_bias": NULL, "rope_scaling": NULL}),
        ("mistral", {"head_dim": NULL}),
        ("gemma2", {"hidden_activation": NULL}),  # the class refuses null, which older versions took for its default
        ("falcon", {"num_kv_heads": 1}),  # with multi_query they are not read
        ("bloom", {"attention_softmax_in_fp32": True, "n_head": None, "num_attention_heads": 4}),
    ],
)  # fmt: skip
def test_fields_that_change_nothing(kind: str, changes: dict[str, Any], written: Callable[..., Path]) -> None:
    old, new = written(kind, OLDEST[kind], **changes), written(kind, NEWEST)
    assert differences(old, new) == differences(new, old) == Comparison((), ())


@pytest.mark.parametrize(
    ("kind", "changes", "named"),
    [
        ("llama", {"num_attention_heads": 8}, "num_attention_heads is 8, the reference has 4"),
        ("llama", {"num_key_value_heads": 4}, "num_key_value_heads is 4, the reference has 2"),
        ("llama", {"head_dim": 16}, "head_dim is 16, the reference has 8"),
        ("llama", {"hidden_act": "gelu"}, "hidden_act is 'gelu', the reference has 'silu'"),
        ("gemma2", {"hidden_activation": "silu"}, "hidden_activation is 'silu'"),
        ("gpt2", {"activation_function": "relu"}, "activation_function is 'relu'"),
        ("mixtral", {"num_experts_per_tok": 1}, "num_experts_per_tok is 1"),
        ("falcon", {"alibi": True}, "alibi is True"),
        ("gpt_neox", {"use_parallel_residual": False}, "use_parallel_residual is False"),
        ("opt", {"do_layer_norm_before": False}, "do_layer_norm_before is False"),
    ],
)
def test_another_function_is_refused(
    kind: str, changes: dict[str, Any], named: str, written: Callable[..., Path]
) -> None:
    old, new = written(kind, OLDEST[kind], **changes), written(kind, NEWEST)
    assert any(named in problem for problem in differences(new, old).problems)
    assert differences(old, new).problems


@pytest.mark.parametrize(
    ("kind", "changes", "named"),
    [
        ("llama", {"rope_theta": 500000.0}, "rope_theta is 500000.0, the reference has 10000.0"),
        ("llama", {"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_parameters.rope_type is 'linear'"),
        ("llama", {"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_parameters.factor is 2.0"),
        ("llama", {"rms_norm_eps": 1e-5}, "rms_norm_eps is 1e-05, the reference has 1e-06"),
        ("llama", {"max_position_embeddings": 1024}, "max_position_embeddings is 1024"),
        ("llama", {"attention_bias": True}, "attention_bias is True"),
        ("mistral", {"sliding_window": None}, "sliding_window is 4096"),  # the default of its class
        ("qwen2", {"use_sliding_window": True, "sliding_window": 64, "max_window_layers": 1}, "sliding_window is 64"),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 64, "max_window_layers": 1}, "layer_types is"),
        ("gemma2", {"final_logit_softcapping": 20.0}, "final_logit_softcapping is 20.0"),
        ("gemma2", {"query_pre_attn_scalar": 100}, "query_pre_attn_scalar is 100"),
        ("gpt_neox", {"rotary_pct": 0.5}, "rope_parameters.partial_rotary_factor is 0.5, the reference has 0.25"),
        ("gpt_neox", {"rotary_emb_base": 20000}, "rope_theta is 20000, the reference has 10000"),
        ("phi3", {"sliding_window": 64}, "sliding_window is 64, the reference has None"),
        ("falcon", {"layer_norm_epsilon": 1e-3}, "layer_norm_epsilon is 0.001"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx is True"),
        ("bloom", {"apply_residual_connection_post_layernorm": True}, "apply_residual_connection_post_layernorm"),
    ],
)
def test_another_setting_is_named(kind: str, changes: dict[str, Any], named: str, written: Callable[..., Path]) -> None:
    old, new = written(kind, OLDEST[kind], **changes), written(kind, NEWEST)
    if kind == "mistral":
        edit_json(new / "config.json", sliding_window=64)
    found = differences(new, old)
    assert found.problems == ()
    assert any(named in warning for warning in found.warnings)
    assert differences(old, new).warnings


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128, "finetuned": True},
            {"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 128, "beta_fast": 32},
        ),
        (
            {"type": "dynamic", "factor": 2.0, "original_max_position_embeddings": 64},
            {"rope_type": "dynamic", "factor": 2},
        ),
        (
            {"type": "linear", "factor": 2.0},
            {"rope_type": "linear", "factor": 2, "original_max_position_embeddings": 64},
        ),
    ],
)
def test_rotary_settings_that_nothing_looks_at(
    old: dict[str, Any], new: dict[str, Any], written: Callable[..., Path]
) -> None:
    one = written("llama", OLDEST["llama"], rope_scaling=old)
    two = written("llama", NEWEST, rope_parameters={**new, "rope_theta": 10000.0})
    assert differences(one, two) == differences(two, one) == Comparison((), ())
    edit_json(two / "config.json", rope_parameters={**new, "factor": 3.0, "rope_theta": 10000.0})
    assert any("rope_parameters.factor is 3.0" in warning for warning in differences(one, two).warnings)


def test_fields_of_falcon_that_the_model_writes_itself(written: Callable[..., Path]) -> None:
    new = {"new_decoder_architecture": True, "num_kv_heads": 2}
    old, saved = (
        written("falcon", OLDEST["falcon"], **new, **more)
        for more in ({}, {"num_ln_in_parallel_attn": 2, "multi_query": False})
    )
    assert differences(old, saved) == differences(saved, old) == Comparison((), ())
    other = written("falcon", NEWEST, **{**new, "num_kv_heads": 4})
    assert "num_kv_heads is 4, the reference has 2" in differences(old, other).problems[0]


class TestTypesThatNoClassReads:
    """Fields as written, with the defaults that all classes share: a guess must not refuse what may be the same."""

    def found(self, written: Callable[..., Path], ours: dict[str, Any], theirs: dict[str, Any]) -> tuple[Any, Any]:
        sources: list[CheckpointSource] = []
        for config in (ours, theirs):
            folder = written("llama", NEWEST)
            (folder / "config.json").write_text(json.dumps({**MYSTERY, **config}))
            sources.append(open_source(folder))
        return config_differences(*sources)

    @pytest.mark.parametrize(
        "other",
        [
            {"head_dim": 8, "num_key_value_heads": 4, "attention_bias": False},
            {"rope_theta": 10000, "rope_scaling": None, "sliding_window": None},
            {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
            {"use_sliding_window": False, "sliding_window": 4096},
            {"some_new_field": 3, "initializer_range": 0.1, "layer_types": ["full_attention"], "no_rope_interval": 4},
        ],
    )
    def test_silent(self, written: Callable[..., Path], other: dict[str, Any]) -> None:
        assert self.found(written, {}, other) == self.found(written, other, {}) == ([], [])

    def test_rotary_settings_in_either_form(self, written: Callable[..., Path]) -> None:
        long = {"original_max_position_embeddings": 64, "rope_scaling": {"type": "su", "long_factor": [2.0]}}
        new = {
            "rope_type": "longrope",
            "long_factor": [2.0],
            "rope_theta": 10000.0,
            "original_max_position_embeddings": 64,
        }
        assert self.found(written, long, {"rope_parameters": new}) == ([], [])
        _, warnings = self.found(written, {"rope_theta": 500000.0}, {})
        assert warnings == ["config.json: rope_theta is 10000.0, the reference has 500000.0"]

    def test_real_differences(self, written: Callable[..., Path]) -> None:
        problems, warnings = self.found(
            written,
            {"architectures": ["AForCausalLM"]},
            {"architectures": ["BForCausalLM"], "num_key_value_heads": 2, "rms_norm_eps": 1e-5, "sliding_window": 8},
        )
        assert problems == [
            "architectures is ['BForCausalLM'], the reference has ['AForCausalLM']",
            "config.json: num_key_value_heads is 2, the reference has 4",
        ]
        assert warnings == [
            "config.json: rms_norm_eps is 1e-05, the reference has 1e-06",
            "config.json: sliding_window is 8, the reference has None",
        ]

    def test_no_type_at_all(self, written: Callable[..., Path]) -> None:
        """Transformers would guess the type from the folder's name; here nothing is guessed."""
        assert self.found(written, {"model_type": None}, {"model_type": None, "head_dim": 8}) == ([], [])
