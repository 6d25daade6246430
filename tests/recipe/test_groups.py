"""Layers and module kinds from tensor names alone."""

from __future__ import annotations

import json

import pytest

from evomerge.errors import InputError
from evomerge.recipe import Group, ParameterGroups, Place, UnknownTensorName
from evomerge.recipe.reading import groups as read_groups

ALL = ParameterGroups((Group("all"),))

NAMES = {
    "model.embed_tokens.weight": Place(None, "embedding"),
    "model.layers.3.self_attn.q_proj.weight": Place(3, "attention"),
    "model.layers.3.self_attn.q_norm.weight": Place(3, "norm"),
    "model.layers.11.mlp.gate_proj.weight": Place(11, "mlp"),
    "model.layers.0.post_attention_layernorm.weight": Place(0, "norm"),
    "model.norm.weight": Place(None, "norm"),
    "lm_head.weight": Place(None, "head"),
    "model.layers.2.block_sparse_moe.experts.7.w1.weight": Place(2, "mlp"),
    "model.layers.2.block_sparse_moe.gate.weight": Place(2, "mlp"),
    "h.4.attn.c_attn.weight": Place(4, "attention"),
    "h.4.ln_1.weight": Place(4, "norm"),
    "ln_f.bias": Place(None, "norm"),
    "wpe.weight": Place(None, "embedding"),
    "gpt_neox.embed_in.weight": Place(None, "embedding"),
    "embed_out.weight": Place(None, "head"),
    "gpt_neox.layers.1.attention.query_key_value.bias": Place(1, "attention"),
    "model.decoder.layers.0.self_attn_layer_norm.weight": Place(0, "norm"),
    "model.decoder.layers.0.fc1.weight": Place(0, "mlp"),
    "transformer.word_embeddings_layernorm.weight": Place(None, "norm"),
    "backbone.layers.5.mixer.in_proj.weight": Place(5, "attention"),
    "model.layers.0.self_attn.rotary_emb.inv_freq": Place(0, "other"),
}


@pytest.mark.parametrize(("name", "place"), NAMES.items())
def test_places(name: str, place: Place) -> None:
    assert ALL.place(name) == place


def test_the_first_group_that_takes_a_place_has_it() -> None:
    groups = ParameterGroups(
        (
            Group("embedding", ("embedding",)),
            Group("early attention", ("attention",), (0, 2)),
            Group("early", layers=(0, 2)),
            Group("late", layers=(2, 99)),
            Group("outside"),
        )
    )
    rows = [
        groups.index(name)
        for name in (
            "model.embed_tokens.weight",
            "model.layers.1.self_attn.q_proj.weight",
            "model.layers.1.mlp.up_proj.weight",
            "model.layers.2.self_attn.q_proj.weight",
            "model.norm.weight",
        )
    ]
    assert rows == [0, 1, 2, 3, 4]


def test_filters_are_parts_of_names() -> None:
    """One of them must occur, whatever kind and layer say besides."""
    groups = ParameterGroups(
        (Group("early", layers=(0, 2), filters=("q_proj", "up_proj")), Group("up", filters=(".up_",)), Group("rest"))
    )
    names = ("layers.1.self_attn.q_proj.weight", "layers.1.self_attn.k_proj.weight", "layers.2.mlp.up_proj.weight")
    assert [groups.index(f"model.{name}") for name in names] == [0, 2, 1]
    assert read_groups(json.loads(json.dumps(groups.to_json())), "groups") == groups
    with pytest.raises(InputError, match="group 'a' has an empty filter"):
        ParameterGroups((Group("a", filters=("",)),))


def test_an_unknown_name_shows_the_pattern_to_add() -> None:
    with pytest.raises(UnknownTensorName, match=r"patterns=\[\[other"):
        ALL.place("model.layers.0.strange.weight")
    own = ParameterGroups((Group("all"),), patterns=(("other", "strange"),))
    assert own.place("model.layers.0.strange.weight") == Place(0, "other")


def test_a_name_that_no_group_takes_is_an_error() -> None:
    with pytest.raises(UnknownTensorName, match="belongs to no group"):
        ParameterGroups((Group("layers", layers=(0, 2)),)).index("model.norm.weight")


def test_broken_groups_are_refused_with_all_problems() -> None:
    with pytest.raises(InputError) as caught:
        ParameterGroups((Group("a"), Group("a")), patterns=(("attn", "("),))
    assert len(caught.value.problems) == 3


def test_groups_that_take_nothing_are_refused() -> None:
    """A kind that is none, and a range that was meant to include its end."""
    with pytest.raises(InputError, match=r"unknown module kind 'atention' in group 'a'; .*did you mean 'attention'"):
        ParameterGroups((Group("a", ("atention",)),))
    for layers in ((3, 3), (5, 2), (-2, 1)):
        with pytest.raises(InputError, match=r"group 'a' takes layers .* the end being the layer after the last"):
            ParameterGroups((Group("a", layers=layers),))


def test_a_layer_pattern_finds_whole_numbers() -> None:
    with pytest.raises(InputError, match="has no group for the layer's number"):
        ParameterGroups((Group("all"),), layer_pattern="layers")
    wide = ParameterGroups((Group("all"),), layer_pattern=r"layers\.(.*)\.")
    with pytest.raises(InputError, match=r"finds '0\.self_attn\.q_proj' in tensor .*; expected a whole number"):
        wide.place("model.layers.0.self_attn.q_proj.weight")


def test_json_round_trip() -> None:
    groups = ParameterGroups((Group("a", ("mlp",), (1, 4), frozen=True), Group("b")), patterns=(("other", "x"),))
    assert read_groups(json.loads(json.dumps(groups.to_json())), "groups") == groups


def test_patterns_of_rare_names_stand_in_no_recipe() -> None:
    """So a recipe's digest does not follow from which names are known; a recipe's own patterns come first."""
    assert ALL.place("bert.pooler.dense.weight").kind == "other"
    assert "pooler" not in json.dumps(ALL.to_json())
    assert ParameterGroups((Group("all"),), patterns=(("head", "pooler"),)).place("pooler.weight").kind == "head"
