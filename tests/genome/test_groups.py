"""Groups that share coefficients, and their profiles over depth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evomerge.genome import GenomeSettings, build
from evomerge.recipe import ParameterGroups, patterns_of
from tests.genome.spaces import NAMES, WEIGHT, A, space, template


def test_groups_hold_every_tensor_and_no_more() -> None:
    genome = space(depth="layer", split_kinds=True)
    rows = {genome.template.groups.index(name) for name in NAMES}
    assert rows == set(range(len(genome.groups))), "no group without a tensor, no gene without an effect"
    tied = space(names=[name for name in NAMES if name != "lm_head.weight"])
    assert "head" not in [group.label for group in tied.groups]
    odd = space(names=[*NAMES, "model.rotary.inv_freq"], depth="layer")
    assert odd.groups[-1].label == "rest"


def test_a_kind_can_be_frozen_whatever_the_depth() -> None:
    genome = space(depth="model", frozen=("attention",))
    frozen = {group.label: group.frozen for group in genome.groups}
    assert frozen == {"attention": True, "norm": False, "embedding": False, "head": False, "model": False}


def test_layers_of_a_mixed_model_form_a_curve_of_their_own() -> None:
    """Attention in two of six layers only: its curve has as many genes as layers, not as control values."""
    names = [f"model.layers.{i}.mlp.up_proj.weight" for i in range(6)]
    names += [f"model.layers.{i}.self_attn.q_proj.weight" for i in (2, 5)]
    genome = space(names=names, models=(A,), depth="smooth", control_points=4, split_kinds=True)
    assert [label for label in genome.labels if "attention" in label] == [
        "weight[a] depth 0% attention",
        "weight[a] depth 100% attention",
    ]
    x = np.random.default_rng(0).random(genome.n_var)
    assert genome.encode(genome.decode(x)) == pytest.approx(x)


def test_experts_share_their_layer_and_the_router_is_apart() -> None:
    experts = [f"model.layers.{i}.mlp.experts.{j}.up_proj.weight" for i in (0, 1) for j in (0, 1)]
    routers = [f"model.layers.{i}.mlp.gate.weight" for i in (0, 1)]
    names = [*experts, *routers, "model.layers.0.self_attn.q_proj.weight"]
    patterns = ParameterGroups((), patterns_of(names))
    for depth, split, labels in (
        ("layer", False, ["router", "layer 0", "layer 1"]),
        ("layer", True, ["router", "layer 0 attention", "layer 0 mlp", "layer 1 mlp"]),
        ("model", False, ["router", "model"]),
    ):
        genome = build(
            GenomeSettings(depth=depth, split_kinds=split), (WEIGHT,), template((A,), groups=patterns), names
        )
        assert [group.label for group in genome.groups] == labels
        assert genome.n_var == len(labels)
        rows = {name: genome.groups[genome.template.groups.index(name)].label for name in names}
        assert {rows[name] for name in routers} == {"router"}
        assert rows[experts[0]] == rows[experts[1]] == (labels[2] if split else labels[1])


def test_towers_are_frozen_unless_they_are_asked_for() -> None:
    names = [*NAMES, "vision_tower.layers.0.mlp.fc1.weight", "multi_modal_projector.linear_1.weight"]
    patterns = ParameterGroups((), patterns_of(names))

    def frozen(**settings: Any) -> dict[str, bool]:
        genome = build(GenomeSettings(**settings), (WEIGHT,), template((A,), groups=patterns), names)
        return {group.label: group.frozen for group in genome.groups}

    assert frozen(depth="model") == {
        "norm": False, "embedding": False, "head": False, "tower": True, "model": False,
    }  # fmt: skip
    assert frozen(depth="model", own_groups=("norm", "tower")) == {"norm": False, "tower": False, "model": False}


def test_parts_of_names_split_what_the_layers_hold() -> None:
    """Two filters and the rest in each block; what is in no layer falls to whichever part its name has."""
    genome = space(depth="blocks", block_size=3, own_groups=(), filters=("self_attn", "mlp"), models=(A,))
    assert genome.labels == (
        "weight[a] layers 0-2 self_attn", "weight[a] layers 0-2 mlp", "weight[a] layers 0-2",
        "weight[a] layers 3-5 self_attn", "weight[a] layers 3-5 mlp", "weight[a] layers 3-5", "weight[a] rest",
    )  # fmt: skip
    rows = [genome.template.groups.groups[genome.template.groups.index(name)].label for name in NAMES]
    assert rows[:5] == ["rest", "layers 0-2 self_attn", "layers 0-2 self_attn", "layers 0-2 mlp", "layers 0-2"]
    curve = space(depth="smooth", control_every=3, own_groups=(), filters=("mlp",), models=(A,))
    assert curve.labels == (
        "weight[a] depth 0% mlp", "weight[a] depth 100% mlp", "weight[a] depth 0%", "weight[a] depth 100%",
        "weight[a] rest",
    )  # fmt: skip
    assert space(depth="model", own_groups=(), filters=("mlp",), models=(A,)).labels == (
        "weight[a] mlp",
        "weight[a] model",
    )


def test_what_is_in_no_layer_goes_with_the_nearest() -> None:
    """Embeddings with the first block, the last norm and the head with the last: no genes of their own."""
    genome = space(depth="blocks", block_size=3, own_groups=(), ends="nearest", models=(A,))
    assert genome.labels == ("weight[a] layers 0-2", "weight[a] layers 3-5")
    values = genome.decode([0.2, 0.8]).coefficients["weight"][:, 0]
    by_name = {name: values[genome.template.groups.index(name)] for name in NAMES}
    assert by_name["model.embed_tokens.weight"] == by_name["model.layers.0.mlp.up_proj.weight"] == values[0]
    assert by_name["model.norm.weight"] == by_name["lm_head.weight"] == by_name["model.layers.5.mlp.up_proj.weight"]
    x = np.random.default_rng(1).random(2)
    assert genome.encode(genome.decode(x)) == pytest.approx(x)
    curve = space(depth="smooth", control_points=3, own_groups=(), ends="nearest", filters=("self_attn",), models=(A,))
    assert curve.n_var == 6
    values = curve.decode([0, 0, 0, 0.1, 0.5, 0.9]).coefficients["weight"][:, 0]
    by_name = {name: values[curve.template.groups.index(name)] for name in NAMES}
    assert by_name["model.embed_tokens.weight"] == by_name["model.layers.0.mlp.up_proj.weight"]
    assert by_name["lm_head.weight"] == by_name["model.layers.5.mlp.up_proj.weight"] == by_name["model.norm.weight"]
    x = np.random.default_rng(2).random(6)
    assert curve.encode(curve.decode(x)) == pytest.approx(x)
    single = space(depth="smooth", control_every=9, own_groups=(), ends="nearest", models=(A,))
    assert single.labels == ("weight[a]",)
