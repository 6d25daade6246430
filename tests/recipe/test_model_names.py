"""Layers and module kinds of real architectures' tensors, as they are saved, need no table."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from evomerge.checkpoints import open_source
from evomerge.recipe import MODULE_KINDS, Group, ParameterGroups
from tests.building import MODEL_TYPES, tiny

ALL = ParameterGroups((Group("all"),))
# Mamba has one mixer in a layer and no MLP; the others have both.
WITHOUT_MLP = {"mamba"}
WITH_OTHERS = {"llava", "opt"}


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_every_tensor_has_its_place(tmp_path: Path, model_type: str) -> None:
    names = list(open_source(tiny(model_type, tmp_path / "model", 0)).specs)
    found: dict[int | None, set[str]] = defaultdict(set)
    for name in names:
        place = ALL.place(name)
        found[place.layer].add(place.kind)
    layer = {"attention", "norm"} if model_type in WITHOUT_MLP else {"attention", "mlp", "norm"}
    assert {key: kinds for key, kinds in found.items() if key is not None} == {0: layer, 1: layer}
    outside = found[None] - {"head"}
    assert outside == ({"embedding", "norm", "other"} if model_type in WITH_OTHERS else {"embedding", "norm"})
    assert set().union(*found.values()) <= set(MODULE_KINDS)


@pytest.mark.parametrize(
    ("name", "layer", "kind"),
    [
        ("model.vision_tower.encoder.layers.3.self_attn.q_proj.weight", None, "other"),
        ("visual.blocks.7.norm1.weight", None, "other"),
        ("model.audio_tower.layers.0.fc1.weight", None, "other"),
        ("multi_modal_projector.linear_1.weight", None, "other"),
        ("language_model.model.layers.3.mlp.up_proj.weight", 3, "mlp"),
        ("model.layers.0.temporal_block.rg_lru.recurrent_param", 0, "attention"),
        ("rwkv.blocks.2.attention.key.weight", 2, "attention"),
        ("rwkv.blocks.0.pre_ln.weight", 0, "norm"),
        ("head.weight", None, "head"),
        ("model.layers.4.mlp.experts.17.gate_proj.weight", 4, "mlp"),
        ("model.layers.4.self_attn.out_proj.weight", 4, "attention"),
        ("bert.encoder.layer.5.output.LayerNorm.weight", 5, "norm"),
        ("bert.encoder.layer.5.output.dense.weight", 5, "mlp"),
        ("bert.pooler.dense.weight", None, "other"),
        ("classifier.out_proj.bias", None, "head"),
        ("score.weight", None, "head"),
        ("qa_outputs.weight", None, "head"),
        ("shared.weight", None, "embedding"),
        ("final_logits_bias", None, "head"),
        ("decoder.block.3.layer.1.EncDecAttention.q.weight", 3, "attention"),
        ("encoder.block.3.layer.1.DenseReluDense.wi_0.weight", 3, "mlp"),
        ("model.encoder.conv1.weight", None, "other"),
        ("model.layers.7.linear.weight", 7, "other"),
        ("model.language_model.layers.2.per_layer_input_gate.weight", 2, "other"),
        ("generator_lm_head.bias", None, "head"),
    ],
)
def test_less_usual_names(name: str, layer: int | None, kind: str) -> None:
    place = ALL.place(name)
    assert (place.layer, place.kind) == (layer, kind)
