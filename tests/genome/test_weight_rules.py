"""Weights that follow a rule: swapped layers, checkpoints of one run, powers of a score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evomerge.errors import InputError
from evomerge.genome import NotExpressible
from evomerge.genome.layer_swap import LayerSwap
from tests.genome.spaces import DENSITY, LAYERS, SHARE, WEIGHT, A, B, C, T, space

TWO, FIVE = (A, B), (A, B, C, *(type(A)(f"experts/{letter}") for letter in "de"))
SPACES: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    (TWO, {"weights": "layer_swap"}),
    *((FIVE, {"weights": "trajectory", "averaging": averaging}) for averaging in ("sma", "wma", "ema", "free")),
    ((A, B, C), {"weights": "metric", "metrics": (1.0, 2.0, 4.0)}),
]


@pytest.mark.parametrize(("models", "settings"), SPACES)
@pytest.mark.parametrize("coefficient", [WEIGHT, SHARE])
def test_there_and_back(models: tuple[Any, ...], settings: dict[str, Any], coefficient: Any) -> None:
    """A recipe has one genome, whose decoding gives its weights, and every group's weights add up to 1."""
    spec, draw = space((coefficient,), models, **settings), np.random.default_rng(0)
    for _ in range(50):
        recipe = spec.decode(draw.random(spec.n_var))
        assert np.allclose(recipe.coefficients["weight"].sum(axis=1), 1)
        again = spec.decode(spec.encode(recipe))
        assert np.allclose(again.coefficients["weight"], recipe.coefficients["weight"], rtol=0, atol=1e-9)
        assert np.allclose(spec.encode(again), spec.encode(recipe), rtol=0, atol=1e-6)


def test_layers_are_swapped_below_and_above() -> None:
    """One layer below, two above, a mean in between; embeddings go with the first layer, the head with the last."""
    spec = space((SHARE,), TWO, weights="layer_swap")
    assert spec.labels == (
        "layers at the bottom",
        "transition at the bottom",
        "transition at the top",
        "layers at the top",
    )
    recipe = spec.decode([1.5 / 4, 0.75, 0.25, 2.5 / 4])
    found = {group.label: tuple(recipe.coefficients["weight"][row]) for row, group in enumerate(spec.groups)}
    layers = [found[f"layer {layer}"][1] for layer in range(LAYERS)]
    assert layers == [1.0, 0.5, 0.0, 0.0, 1.0, 1.0]
    assert found["before the layers"] == (0.0, 1.0)
    assert found["after the layers"] == (0.0, 1.0)


def test_every_swap_of_layers_is_found_again() -> None:
    """Whatever numbers give the weights of a model, and at once for a deep one."""
    for layers in (1, 2, 3, 5, 8, 9, 16):
        rule = LayerSwap(layers)
        for genes in np.random.default_rng(layers).random((200, 4)):
            weights = rule.weights(genes)
            found = rule.genes(weights)
            assert found is not None
            assert np.array_equal(rule.weights(found), weights)
            assert np.array_equal(rule.genes(rule.weights(found)), found)
    assert LayerSwap(126).genes(np.full((126, 2), 0.5)) is None


def test_fixed_layers_do_not_hide_a_swap() -> None:
    spec = space((SHARE,), TWO, weights="layer_swap", fixed={"layer 1": {"weight": [0.2, 0.8]}})
    for genes in np.random.default_rng(1).random((50, 4)):
        recipe = spec.decode(genes)
        again = spec.decode(spec.encode(recipe))
        assert np.allclose(again.coefficients["weight"], recipe.coefficients["weight"])


def test_other_coefficients_are_one_for_the_whole_model_where_layers_are_swapped() -> None:
    spec = space((WEIGHT, DENSITY), TWO, weights="layer_swap")
    assert spec.n_var == 4 + 2


@pytest.mark.parametrize(
    ("averaging", "genes", "weights"),
    [
        ("sma", [0.7, 0.25, 0.5], [1 / 3, 1 / 3, 1 / 3]),
        ("wma", [0.7, 0.25, 0.5], [1 / 6, 2 / 6, 3 / 6]),
        ("ema", [0.7, 0.25, 0.5, 0.5], [0.25, 0.25, 0.5]),
        ("free", [0.7, 0.25, 0.5, np.log(2) / 3], [1 / 7, 2 / 7, 4 / 7]),
    ],
)
def test_checkpoints_count_by_their_age(averaging: str, genes: list[float], weights: list[float]) -> None:
    """The newest is the fourth of five, and three of them are taken, one after the other."""
    spec = space((SHARE,), FIVE, weights="trajectory", averaging=averaging)
    found = spec.decode(genes).coefficients["weight"]
    assert np.allclose(found, [0, *weights, 0])


def test_checkpoints_can_lie_apart() -> None:
    spec = space((SHARE,), FIVE, weights="trajectory", averaging="sma")
    assert np.allclose(spec.decode([0.9, 0.75, 0.9]).coefficients["weight"], [1 / 3, 0, 1 / 3, 0, 1 / 3])


def test_scores_weigh_by_their_powers() -> None:
    spec = space((SHARE,), weights="metric", metrics=(1.0, 2.0, 4.0))
    assert np.allclose(spec.decode([0.0]).coefficients["weight"], 1 / 3)
    assert np.allclose(spec.decode([0.1]).coefficients["weight"], [1 / 7, 2 / 7, 4 / 7])


def test_weights_that_follow_no_rule_have_no_genome() -> None:
    free = space((SHARE,), TWO, depth="layer", own_groups=(), ends="nearest")
    recipe = free.decode(np.full(free.n_var, 0.3))
    with pytest.raises(NotExpressible, match="follow no rule"):
        space((SHARE,), TWO, weights="layer_swap").encode(recipe)


@pytest.mark.parametrize(
    ("declared", "models", "settings", "said"),
    [
        ((SHARE,), (A, B, C), {"weights": "layer_swap"}, "of 2 models; there are 3"),
        ((T,), TWO, {"weights": "trajectory"}, "takes none; choose linear"),
        ((SHARE,), TWO, {"weights": "metric", "metrics": (1.0,)}, "has 1 for 2 models"),
        ((SHARE,), TWO, {"weights": "metric"}, "a positive score of each model"),
        ((WEIGHT,), TWO, {"weights": "trajectory", "bounds": {"weight": (0, 1)}}, "have no use for weight"),
        ((SHARE,), TWO, {"weights": "layer_swap", "depth": "linear"}, "genome.depth=linear has no meaning"),
        ((SHARE,), TWO, {"weights": "layer_swap", "own_groups": ("norm",)}, "leave genome.own_groups out"),
        ((WEIGHT,), (A,), {"weights": "trajectory"}, "needs at least 2 models"),
    ],
)
def test_what_cannot_follow_a_rule_is_refused(
    declared: tuple[Any, ...], models: tuple[Any, ...], settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        space(declared, models, **settings)
