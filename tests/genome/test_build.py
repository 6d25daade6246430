"""From settings to the space: genes, labels, frozen and fixed groups, and everything that does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evomerge.errors import InputError
from evomerge.recipe import CheckpointRef
from tests.genome.spaces import DENSITY, LAMBDA, NAMES, SHARE, WEIGHT, A, B, T, space


def test_gene_counts_by_hand() -> None:
    """Three experts; embedding, norms and head are groups of their own unless said otherwise."""
    assert space(depth="model").n_var == 3 * 4
    assert space(depth="model", own_groups=()).n_var == 3
    assert space(depth="blocks", block_size=4).n_var == 3 * (3 + 2)
    assert space(depth="layer").n_var == 3 * (3 + 6)
    assert space(depth="layer", split_kinds=True).n_var == 3 * (3 + 12)
    assert space(depth="linear").n_var == 3 * (3 + 2)
    assert space(depth="smooth", control_points=4, split_kinds=True).n_var == 3 * (3 + 8)
    assert space((SHARE,), depth="layer").n_var == 2 * (3 + 6), "n - 1 genes where only proportions matter"
    assert space((WEIGHT, DENSITY), depth="layer", shared=("density",)).n_var == 3 * 9 + 3
    assert space((T,), models=(A, B), depth="layer").n_var == 9, "a coefficient shared by the models is one gene"


def test_labels_by_hand() -> None:
    genome = space((WEIGHT, DENSITY), models=(A, B), depth="layer", split_kinds=True, shared=("density",))
    assert genome.labels[:2] == ("weight[a] norm", "weight[b] norm")
    assert "weight[b] layer 3 attention" in genome.labels
    assert genome.labels[-2:] == ("density[a] all", "density[b] all")
    assert "weight[a] depth 50% mlp" in space(depth="smooth", control_points=3, split_kinds=True).labels
    assert space((SHARE,), models=(A, B), depth="blocks").labels[-1] == "weight[a] layers 4-5"
    twins = space(models=(A, CheckpointRef("other/a")), depth="model", own_groups=())
    assert twins.labels == ("weight[a#0] model", "weight[a#1] model")


def test_frozen_and_fixed_groups_have_no_genes() -> None:
    genome = space(
        (WEIGHT, DENSITY), depth="layer", split_kinds=True,
        frozen=("head", "layer 0 *"), fixed={"embedding": {"weight": [0.1, 0.2, 0.3]}, "* mlp": {"density": 0.5}},
    )  # fmt: skip
    frozen = [group.label for group in genome.groups if group.frozen]
    assert frozen == ["head", "layer 0 attention", "layer 0 mlp"]
    assert not any(label.endswith(tuple(frozen)) for label in genome.labels)
    assert not any(label.startswith("density") and label.endswith("mlp") for label in genome.labels)
    recipe = genome.decode(np.full(genome.n_var, 0.9))
    rows = {group.label: row for row, group in enumerate(genome.groups)}
    assert recipe.coefficients["weight"][rows["embedding"]] == pytest.approx([0.1, 0.2, 0.3])
    assert recipe.coefficients["density"][rows["layer 3 mlp"]] == pytest.approx([0.5] * 3)
    assert recipe.coefficients["weight"][rows["head"]] == pytest.approx([1.0] * 3), "frozen rows are neutral"
    everywhere = genome.recipe({"weight": 0.3})
    assert everywhere.coefficients["weight"][rows["embedding"]] == pytest.approx([0.1, 0.2, 0.3])
    assert everywhere.coefficients["weight"][rows["layer 3 mlp"]] == pytest.approx([0.3] * 3)
    assert genome.encode(genome.recipe({"weight": 0.3, "density": 0.5})).shape == (genome.n_var,)


def test_a_kind_is_fixed_as_a_group_of_its_own_or_by_the_names_of_groups() -> None:
    own = space(depth="layer", own_groups=("mlp",), fixed={"mlp": {"weight": 0.5}})
    assert own.decode(np.zeros(own.n_var)).coefficients["weight"][0].tolist() == [0.5] * 3
    split = space(depth="layer", split_kinds=True, fixed={"* mlp": {"weight": 0.5}})
    assert not any("mlp" in label for label in split.labels)
    assert space(names=NAMES[:-1], fixed={"head": {"weight": 0.5}}).n_var == space(names=NAMES[:-1]).n_var, "no head"


def test_a_coefficient_is_searched_when_it_is_named() -> None:
    assert "lambda" not in " ".join(space((WEIGHT, LAMBDA)).labels)
    assert "lambda all" in space((WEIGHT, LAMBDA), shared=("lambda",)).labels
    genome = space((WEIGHT, LAMBDA), bounds={"lambda": [0.5, 0.6]}, depth="model", own_groups=())
    assert genome.decode(np.ones(4)).coefficients["lambda"][0] == 0.6


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        space(
            (WEIGHT, DENSITY), depth="layers", block_size=0, own_groups=("embeddings",),
            bounds={"densty": [0, 1], "density": [0.5, 1.5], "weight": [1.0, 0.0]}, shared=("lamda",),
        )  # fmt: skip
    text = str(caught.value)
    for part in (
        "genome.depth: expected one of auto, model, blocks, layer, linear, smooth, came 'layers'",
        "did you mean 'layer'?",
        "genome.block_size: expected a whole number of at least 1, came 0",
        "did you mean 'embedding'?",
        "did you mean 'density'?",
        "density between 0 and 1",
        "genome.bounds.weight is [1.0, 0.0]; expected [low, high]",
        "genome.shared names the coefficient 'lamda'",
    ):
        assert part in text
    assert len(caught.value.problems) == 7


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fixed": {"layer 9": {"weight": 0.0}}}, "matches no group; the groups are norm, embedding"),
        ({"frozen": ("atention",)}, "did you mean 'attention'?"),
        (
            {"fixed": {"mlp": {"weight": 0.0}}},
            "kind 'mlp', which is no group of its own here; add it to genome.own_groups",
        ),
        ({"bounds": {"weight": [False, True]}}, "genome.bounds.weight is [False, True]; expected [low, high]"),
        ({"fixed": {"head": {"weight": True}}}, "weight is True; expected one number, or 3: one per model"),
        ({"fixed": {"head": {"weight": [0.1, 10**400, 0.2]}}}, "genome.fixed.head: weight is [0.1, 1000"),
        ({"bounds": {"weight": [0, 10**400]}}, "genome.bounds.weight is [0, 1000"),
        ({"fixed": {"head": {"weight": [0.1, 0.2]}}}, "expected one number, or 3: one per model"),
        (
            {"fixed": {"head": {"weight": "much"}}},
            "genome.fixed.head: weight is 'much'; expected one number, or 3: one",
        ),
        ({"fixed": {"head": {"density": 1.5}}}, "density between 0 and 1"),
        ({"fixed": {"head": {"weight": 0}, "hea*": {"weight": 1}}}, "more than one value"),
        ({"depth": "smooth", "control_points": 7}, "needs 7 control values, but the tensor names show only 6 layers"),
        ({"frozen": ("*",)}, "nothing to search"),
    ],
)
def test_what_does_not_fit_the_model_is_told(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        space((WEIGHT, DENSITY), **settings)
    assert message in str(caught.value)


def test_proportions_have_no_bounds() -> None:
    with pytest.raises(InputError, match="does not normalise weight"):
        space((SHARE,), bounds={"weight": [-0.5, 1.0]})
    with pytest.raises(InputError, match="none negative"):
        space((SHARE,), fixed={"head": {"weight": [1.5, -0.5, 0.0]}})
    fixed = space((SHARE,), fixed={"head": {"weight": [2, 1, 1]}})
    row = [group.label for group in fixed.groups].index("head")
    assert fixed.decode(np.full(fixed.n_var, 0.5)).coefficients["weight"][row].tolist() == [0.5, 0.25, 0.25]
