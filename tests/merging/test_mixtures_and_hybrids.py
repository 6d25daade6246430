"""Mixtures of experts, linear attention, state-space layers and models that hear: placed, merged and exported right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers

from evomerge.genome import GenomeSettings, GenomeSpec, build
from evomerge.merging import Checkpoints, LiveModel, Merger, merge_to_folder
from evomerge.recipe import Coefficient, ParameterGroups, Recipe, patterns_of
from tests.building import TOKEN_IDS, VOCABULARY, perturbed, save_model
from tests.merging.conftest import make_recipe
from tests.merging.stacks import weights

TEXT = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "vocab_size": VOCABULARY, "num_key_value_heads": 2, "max_position_embeddings": 64, **TOKEN_IDS,
}  # fmt: skip
LINEAR = {
    "linear_num_value_heads": 2, "linear_num_key_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
    "layer_types": ["linear_attention", "full_attention"],
}  # fmt: skip
SPACE = {"mamba_d_state": 4, "mamba_n_heads": 4, "mamba_d_head": 4, "mamba_n_groups": 1, "mamba_d_ssm": 16}
SENT = {"num_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 8, "shared_expert_intermediate_size": 8}
DEEPSEEK = {
    "num_key_value_heads": 4, "n_routed_experts": 4, "n_group": 2, "topk_group": 1, "num_experts_per_tok": 2,
    "moe_intermediate_size": 8, "first_k_dense_replace": 1, "q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 4, "v_head_dim": 4, "n_shared_experts": 1,
}  # fmt: skip
JAMBA = {"num_experts": 2, "num_experts_per_tok": 1, "attn_layer_period": 2, "attn_layer_offset": 1,
         "expert_layer_period": 2, "expert_layer_offset": 1, "mamba_d_state": 4, "mamba_dt_rank": 4}  # fmt: skip
HEARING = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
           "num_mel_bins": 8, "max_source_positions": 8}  # fmt: skip


def _voxtral() -> transformers.PretrainedConfig:
    text = {"model_type": "llama", **TEXT, "num_hidden_layers": 1}
    return transformers.VoxtralConfig(text_config=text, audio_config=HEARING, audio_token_id=3)


# The config, and one tensor that no dense model has to its module kind.
MODELS: dict[str, tuple[Callable[[], transformers.PretrainedConfig], dict[str, str]]] = {
    "deepseek_v3": (
        lambda: transformers.DeepseekV3Config(**{**TEXT, **DEEPSEEK}),
        {
            "model.layers.1.mlp.gate.e_score_correction_bias": "router", "model.layers.1.mlp.gate.weight": "router",
            "model.layers.1.mlp.experts.3.up_proj.weight": "mlp",
            "model.layers.1.mlp.shared_experts.up_proj.weight": "mlp",
        },
    ),
    "gpt_oss": (
        lambda: transformers.GptOssConfig(**TEXT, head_dim=4, num_local_experts=3, num_experts_per_tok=2),
        {
            "model.layers.0.mlp.router.weight": "router", "model.layers.0.mlp.router.bias": "router",
            "model.layers.0.mlp.experts.gate_up_proj": "mlp", "model.layers.0.mlp.experts.down_proj_bias": "mlp",
            "model.layers.0.self_attn.sinks": "attention",
        },
    ),
    "qwen3_next": (
        lambda: transformers.Qwen3NextConfig(**TEXT, **LINEAR, **SENT, head_dim=8),
        {
            "model.layers.0.linear_attn.A_log": "attention", "model.layers.0.linear_attn.dt_bias": "attention",
            "model.layers.0.linear_attn.conv1d.weight": "attention", "model.layers.0.mlp.gate.weight": "router",
            "model.layers.0.mlp.shared_expert_gate.weight": "router", "model.layers.0.linear_attn.norm.weight": "norm",
        },
    ),
    "jamba": (
        lambda: transformers.JambaConfig(**TEXT, **JAMBA),
        {
            "model.layers.0.mamba.A_log": "attention", "model.layers.0.mamba.D": "attention",
            "model.layers.1.feed_forward.router.weight": "router", "model.layers.0.mamba.dt_layernorm.weight": "norm",
        },
    ),
    "falcon_h1": (
        lambda: transformers.FalconH1Config(**TEXT, **SPACE, head_dim=4),
        {
            "model.layers.0.mamba.D": "attention", "model.layers.0.mamba.conv1d.bias": "attention",
            "model.layers.0.mamba.dt_bias": "attention", "model.layers.0.feed_forward.up_proj.weight": "mlp",
        },
    ),
    "voxtral": (
        _voxtral,
        {
            "audio_tower.layers.0.self_attn.q_proj.weight": "tower", "multi_modal_projector.linear_1.weight": "tower",
            "language_model.model.layers.0.self_attn.q_proj.weight": "attention",
        },
    ),
}  # fmt: skip
IDS = torch.tensor([[9, 77, 200, 6]])


@pytest.mark.parametrize("model", MODELS)
def test_placed_merged_by_hand_and_exported(model: str, tmp_path: Path) -> None:
    config, kinds = MODELS[model]
    base = _random(config(), tmp_path / "base")
    one, two = perturbed(base, tmp_path / "one", 1), perturbed(base, tmp_path / "two", 2)
    start, first, second = map(weights, (base, one, two))
    groups = ParameterGroups((), patterns_of(start))
    assert {name: groups.place(name).kind for name in kinds} == kinds
    spec = _space(groups, list(start))
    assert [group.label for group in spec.groups if group.frozen] == (["tower"] if model == "voxtral" else [])
    values = {"weight": [[0.25, 0.5]] * len(spec.groups), "lambda": [0.8] * len(spec.groups)}
    recipe = make_recipe(
        "task_arithmetic", [one, two], base, groups=spec.template.groups, coefficients=values, out_dtype="float32"
    )
    checkpoints = Checkpoints.open(recipe)
    assert checkpoints.compare().problems == ()
    out = merge_to_folder(recipe, tmp_path / "out", merger=Merger(checkpoints))
    merged = weights(out)
    assert merged.keys() == start.keys()
    for name, tensor in merged.items():
        was = start[name].double()
        away = 0.8 * (0.25 * (first[name].double() - was) + 0.5 * (second[name].double() - was))
        frozen = groups.place(name).kind == "tower"
        torch.testing.assert_close(tensor.double(), was + (0.0 if frozen else away), atol=1e-6, rtol=1e-6)
    live = LiveModel.load(base)
    live.install(Merger(checkpoints), recipe)
    loaded = type(live.model).from_pretrained(out, dtype=torch.float32).eval()
    assert torch.equal(live.model(input_ids=IDS).logits, loaded(input_ids=IDS).logits)


def _space(groups: ParameterGroups, names: list[str]) -> GenomeSpec:
    template = Recipe("task_arithmetic", {}, make_recipe("linear", [Path("a")]).sources, None, groups)
    return build(GenomeSettings(), (Coefficient("weight", 0.0, 1.0, 1.0),), template, names)


def _random(config: transformers.PretrainedConfig, folder: Path) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        audio = config.model_type == "voxtral"
        kind = transformers.AutoModelForMultimodalLM if audio else transformers.AutoModelForCausalLM
        model = kind.from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape) * 0.05)
    return save_model(model, folder)
