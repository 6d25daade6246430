"""Patterns that only some checkpoints need: routers and towers."""

from __future__ import annotations

import pytest

from evomerge.recipe import DEFAULT_PATTERNS, ParameterGroups, patterns_of

LAYER = "model.layers.0."
EXPERTS = LAYER + "mlp.experts.0.up_proj.weight"
ROUTERS = {
    "mixtral": [LAYER + "block_sparse_moe.experts.2.w1.weight", LAYER + "block_sparse_moe.gate.weight"],
    "qwen3_moe": [EXPERTS, LAYER + "mlp.gate.weight"],
    "qwen2_moe": [EXPERTS, LAYER + "mlp.gate.weight", LAYER + "mlp.shared_expert_gate.weight"],
    "deepseek_v3": [EXPERTS, LAYER + "mlp.gate.weight", LAYER + "mlp.gate.e_score_correction_bias"],
    "ernie": [EXPERTS, LAYER + "mlp.gate.weight", LAYER + "mlp.moe_statics.e_score_correction_bias"],
    "gpt_oss": [LAYER + "mlp.experts.gate_up_proj", LAYER + "mlp.router.weight", LAYER + "mlp.router.bias"],
    "jamba": [LAYER + "feed_forward.experts.0.up_proj.weight", LAYER + "feed_forward.router.weight"],
    "granite": [LAYER + "block_sparse_moe.input_linear.weight", LAYER + "block_sparse_moe.router.layer.weight"],
    "dbrx": ["transformer.blocks.0.ffn.experts.mlp.w1", "transformer.blocks.0.ffn.router.layer.weight"],
    "nemotron": ["backbone.layers.0.mixer.experts.0.up_proj.weight", "backbone.layers.0.mixer.gate.weight"],
}


@pytest.mark.parametrize("model", ROUTERS)
def test_routers_are_apart_from_experts(model: str) -> None:
    experts, *routers = ROUTERS[model]
    names = [experts, *routers, LAYER + "mlp.shared_experts.gate_proj.weight", LAYER + "self_attn.gate.weight"]
    groups = ParameterGroups((), patterns_of(names))
    kinds = {name: groups.place(name).kind for name in names}
    assert {name for name, kind in kinds.items() if kind == "router"} == set(routers)
    assert groups.place(routers[0]).layer == 0


def test_patterns_of_others_are_what_they_were() -> None:
    """They are part of every recipe's digest."""
    dense = ["model.embed_tokens.weight", *(LAYER + f"mlp.{part}_proj.weight" for part in ("gate", "up", "down"))]
    assert patterns_of(dense) == DEFAULT_PATTERNS
    assert patterns_of([*dense, LAYER + "mlp.gate.weight"]) == DEFAULT_PATTERNS, "no experts to send anything to"


@pytest.mark.parametrize(
    "name",
    [
        "model.vision_tower.encoder.layers.0.mlp.fc1.weight", "visual.merger.mlp.0.weight",
        "multi_modal_projector.linear_1.bias", "audio_tower.layers.1.self_attn.k_proj.weight",
        "model.embed_vision.embedding.weight", "vqmodel.encoder.conv_in.weight",
        "talker.model.layers.0.mlp.gate.weight", "model.connector.modality_projection.proj.weight",
    ],
)  # fmt: skip
def test_towers_and_projectors(name: str) -> None:
    names = [name, "model.language_model.layers.0.mlp.up_proj.weight", EXPERTS]
    groups = ParameterGroups((), patterns_of(names))
    assert [groups.place(each).kind for each in names] == ["tower", "mlp", "mlp"]
