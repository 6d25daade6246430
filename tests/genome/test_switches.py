"""Genes that take experts out of kinds of modules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evomerge import genome, methods
from evomerge.errors import InputError
from evomerge.genome import GenomeSettings, GenomeSpec, ModelFacts, NotExpressible
from evomerge.recipe import CheckpointRef, ParameterGroups, Recipe

PARTS = ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "input_layernorm")
NAMES = (
    "model.embed_tokens.weight",
    *(f"model.layers.{layer}.{part}.weight" for layer in range(4) for part in PARTS),
    "model.norm.weight",
    "lm_head.weight",
)
SPACES: tuple[dict[str, Any], ...] = (
    {},
    {"split_kinds": True},
    {"depth": "model"},
    {"depth": "blocks", "block_size": 2, "own_groups": ()},
    {"depth": "linear"},
    {"depth": "smooth", "control_points": 3, "ends": "nearest", "own_groups": ("head",)},
    {"filters": ("q_proj", "up_proj")},
    {"shared": ("weight",)},
    {"fixed": {"* mlp": {"weight": 0.5}}, "frozen": ("head",)},
)


def space(method: str = "task_arithmetic", changed: Any = (), options: Any = (), **settings: Any) -> GenomeSpec:
    declared = methods.load(method)
    options = declared.resolve(dict(options))
    sources = tuple(CheckpointRef(name) for name in ("x", "y", "z"))
    template = Recipe(method, options, sources, CheckpointRef("base"), ParameterGroups(()))
    chosen = GenomeSettings(**{"modules": "searched", **settings})
    return genome.build(chosen, declared.coefficients(options), template, NAMES, models=ModelFacts(changed))


@pytest.mark.parametrize("settings", SPACES)
def test_there_and_back(settings: dict[str, Any]) -> None:
    """A recipe has one genome, which gives every gene that can be seen; switched off is the weight 0."""
    spec, draw = space(**settings), np.random.default_rng(0)
    switches = np.array([label.startswith("on[") for label in spec.labels])
    assert switches.any()
    for _ in range(8):
        genes = draw.uniform(0.02, 0.98, spec.n_var)
        recipe = spec.decode(genes)
        again = spec.encode(recipe)
        first, second = (found.coefficients["weight"] for found in (recipe, spec.decode(again)))
        np.testing.assert_allclose(second, first, atol=1e-9)
        assert np.array_equal(first == 0.0, second == 0.0)
        np.testing.assert_allclose(spec.encode(spec.decode(again)), again, atol=1e-9)
        assert np.array_equal(again[switches] >= 0.5, genes[switches] >= 0.5)
        if (genes[switches] >= 0.5).all():
            np.testing.assert_allclose(again[~switches], genes[~switches], atol=1e-9)
        # Every value of a half is the same recipe, the one of 0.5 the upper half's.
        halves = np.where(switches, np.where(genes >= 0.5, 0.5, 0.0), genes)
        assert spec.decode(halves) == recipe
    on = spec.decode(np.where(switches, 1.0, 0.3)).coefficients["weight"]
    off = spec.decode(np.where(switches, 0.0, 0.3)).coefficients["weight"]
    live = np.array([not group.frozen for group in spec.groups])
    fixed = np.array([group.label.endswith(" mlp") for group in spec.groups]) & ("fixed" in settings)
    assert (on[live] > 0.0).all()
    assert (off[live & ~fixed] == 0.0).all()
    assert (off[fixed] == 0.5).all()


def test_one_gene_for_each_expert_and_kind() -> None:
    spec = space(depth="model", own_groups=())
    kinds = ["attention", "mlp", "norm", "embedding", "head"]
    wanted = {f"on[{expert}] {kind}" for expert in "xyz" for kind in kinds}
    assert {label for label in spec.labels if label.startswith("on[")} == wanted
    weight = spec.decode([0.4] * (spec.n_var - len(wanted)) + [0.5] * len(wanted)).coefficients["weight"]
    assert len(np.unique(weight)) == 1
    index = spec.labels.index("on[y] mlp")
    genes = np.full(spec.n_var, 0.6)
    genes[index] = 0.49
    changed = spec.decode(genes)
    rows = [row for row, group in enumerate(changed.groups.groups) if "mlp" in group.kinds]
    zeros = np.argwhere(changed.coefficients["weight"] == 0.0).tolist()
    assert zeros == [[row, 1] for row in rows]
    plain = space(depth="model", own_groups=(), modules="all")
    assert spec.encode(plain.decode([0.4] * plain.n_var))[index] == 0.75


def test_only_where_an_expert_differs_from_the_base() -> None:
    """An adapter of attention alone has no switch for the MLP; where no expert differs, nothing is searched at all."""
    attention = frozenset(name for name in NAMES if "self_attn" in name)
    both = attention | {name for name in NAMES if "mlp" in name}
    spec = space(changed=[attention, both, both])
    switches = [label for label in spec.labels if label.startswith("on[")]
    assert switches == ["on[x] attention", "on[y] attention", "on[z] attention", "on[y] mlp", "on[z] mlp"]
    assert {group.label for group in spec.groups if group.frozen} == {"embedding", "norm", "head"}
    assert not any(label.endswith(("norm", "embedding", "head")) for label in spec.labels)
    whole = space(changed=[attention, both, None])
    assert not any(group.frozen for group in whole.groups)
    assert "on[z] head" in whole.labels
    assert "on[x] head" not in whole.labels


def test_what_is_off_the_space() -> None:
    spec = space(depth="linear")
    recipe = spec.decode(np.full(spec.n_var, 0.6))
    values = {name: array.copy() for name, array in recipe.coefficients.items()}
    row = next(row for row, group in enumerate(recipe.groups.groups) if group.label == "layer 1 mlp")
    values["weight"][row, 0] += 0.1
    with pytest.raises(NotExpressible, match="curve"):
        spec.encode(Recipe(**{**vars_of(recipe), "coefficients": values}))
    values["weight"][:, 0] = 9.0
    with pytest.raises(NotExpressible, match="outside"):
        spec.encode(Recipe(**{**vars_of(recipe), "coefficients": values}))


def vars_of(recipe: Recipe) -> dict[str, Any]:
    return {name: getattr(recipe, name) for name in recipe.__dataclass_fields__}


def test_what_other_coefficients_are_is_left_alone() -> None:
    spec = space("dare_ties", options={"normalise": "count"}, depth="model")
    genes = np.where([label.startswith("on[") for label in spec.labels], 0.0, 0.4)
    recipe = spec.decode(genes)
    assert (recipe.coefficients["weight"] == 0.0).all()
    assert len(np.unique(recipe.coefficients["density"])) == 1
    again = spec.decode(spec.encode(recipe)).coefficients
    assert all(np.allclose(again[name], values, atol=1e-9) for name, values in recipe.coefficients.items())


@pytest.mark.parametrize("method", ["slerp", "linear", "ties", "sce", "pcb", "karcher"])
def test_methods_that_cannot(method: str) -> None:
    """Those whose weights are shares of one, and those that have no weight, or one at which a delta still counts."""
    with pytest.raises(InputError, match=f"genome.modules=searched .* which {method} cannot"):
        space(method)
