"""A candidate's plan: coefficients and keys of its tensors, and what plans share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from evomerge.merging import Checkpoints, LiveModel, Merger
from tests.merging.conftest import Family, make_recipe
from tests.merging.stacks import STACKED, stacked


def in_layer(name: str, number: int) -> bool:
    return f"layers.{number}." in name


def test_what_changed_is_merged(family: Callable[..., Family]) -> None:
    """An output layer is merged again where its row or its inputs change, and only there."""
    base, one, two = family()
    recipe = stacked(one, two, base)
    merger = Merger(Checkpoints.open(recipe))
    live = LiveModel.load(base).rebuilt(merger.plan(recipe))
    live.install(merger, recipe)
    values = {name: array.copy() for name, array in recipe.coefficients.items()}
    values["weight"][1] *= 0.5
    assert {name for name in live.places if in_layer(name, 2)} == set(
        live.install(merger, replace(recipe, coefficients=values))
    )
    swapped = replace(recipe, coefficients=values, layers=(*STACKED[:3], STACKED[0], STACKED[4]))
    assert {name for name in live.places if in_layer(name, 3)} == set(live.install(merger, swapped))


def test_a_plan_is_made_once_and_shares_its_outputs(family: Callable[..., Family]) -> None:
    base, one, two = family()
    recipe = make_recipe("ties", [one, two], base)
    merger = Merger(Checkpoints.open(recipe))
    plan = merger.plan(recipe)
    assert merger.plan(recipe) is plan
    other = replace(recipe, coefficients={name: array * 0.5 for name, array in recipe.coefficients.items()})
    assert merger.plan(other).outputs is plan.outputs
    merger.plan(make_recipe("linear", [one, two]))
    assert merger.plan(recipe).outputs is plan.outputs, "baselines come in between candidates"
    assert merger.plan(replace(recipe, seed=1)).outputs is not plan.outputs


def test_keys_are_those_of_the_bytes(family: Callable[..., Family]) -> None:
    """Rows that differ make keys that differ, zeros of another sign too; where nothing differs the keys are equal."""
    base, one, two = family()
    recipe = make_recipe("task_arithmetic", [one, two], base)
    merger = Merger(Checkpoints.open(recipe))
    keys = merger.plan(recipe).keys()
    assert merger.plan(replace(recipe)).keys() == keys
    zeros = {name: array.copy() for name, array in recipe.coefficients.items()}
    zeros["weight"][0] = 0.0
    signed = {name: array.copy() for name, array in zeros.items()}
    signed["weight"][0] = -0.0
    first, second = (merger.plan(replace(recipe, coefficients=values)).keys() for values in (zeros, signed))
    unlike = {name for name in keys if first[name] != second[name]}
    assert unlike == {name for name in keys if in_layer(name, 0)}
    assert {name for name in keys if first[name] != keys[name]} == unlike


def test_coefficients_are_the_row_of_the_tensor(family: Callable[..., Family]) -> None:
    base, one, two = family()
    recipe = stacked(one, two, base)
    plan = Merger(Checkpoints.open(recipe)).plan(recipe)
    merged = plan.outputs.merged
    for name, row in (("model.layers.1.mlp.up_proj.weight", 2), ("model.layers.2.mlp.up_proj.weight", 1)):
        assert plan.coefficients(merged[name]) == {
            "weight": tuple(recipe.coefficients["weight"][row]), "lambda": recipe.coefficients["lambda"][row],
        }  # fmt: skip
    assert "model.layers.4.mlp.up_proj.weight" not in merged, "a copy"
