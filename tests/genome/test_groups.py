"""Groups that share coefficients, and their profiles over depth."""

from __future__ import annotations

import numpy as np
import pytest

from tests.genome.spaces import NAMES, A, space


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
