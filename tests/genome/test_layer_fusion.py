"""Models with fewer layers: genes to recipes and back, worked by hand for six layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evomerge.errors import InputError
from evomerge.genome import GenomeSpec, NotExpressible
from evomerge.recipe import Recipe
from tests.genome.spaces import BASE, LAYERS, SHARE, A, B, space, template


def alone(**settings: Any) -> GenomeSpec:
    """One model, whose weight is no gene."""
    from evomerge.genome import GenomeSettings, build
    from tests.genome.spaces import NAMES

    plan = template((A,), method="linear", options={"normalise": "weight"}, base=None)
    return build(GenomeSettings(**settings), (SHARE,), plan, NAMES)


def genes(spec: GenomeSpec, number: float, share: float, *going: int) -> np.ndarray:
    keys = [0.9 if layer in going else 0.1 for layer in range(1, LAYERS)]
    found = {"number": number, "share": share}
    return np.array([*(value for name, value in found.items() if any(name in label for label in spec.labels)), *keys])


def inputs(recipe: Recipe) -> list[list[int]]:
    return [[layer for _, layer in own.inputs] for own in recipe.layers]


def test_layers_that_go_are_merged_into_the_one_before() -> None:
    """Layers 2, 3 and 5 go: 1 keeps half and shares the rest; the share lies between .3 and .9."""
    spec = alone(layers="merged", fewer=(1.0, 3.0))
    assert spec.labels[:3] == ("number of layers that go", "share of the layer that stays", "layer 1 goes")
    assert spec.n_var == 2 + LAYERS - 1
    recipe = spec.decode(genes(spec, 0.9, 1 / 3, 2, 3, 5))
    assert recipe.sources == (A,)
    assert recipe.base is None
    assert inputs(recipe) == [[0], [1, 2, 3], [4, 5]]
    weights = recipe.coefficients["weight"]
    np.testing.assert_allclose(weights[:3], [[1, 0, 0], [0.5, 0.25, 0.25], [0.5, 0.5, 0]], atol=1e-12)
    rows = [recipe.groups.index(f"model.layers.{layer}.{part}.weight") for layer, part in
            ((1, "mlp.up_proj"), (2, "self_attn.q_proj"), (1, "input_layernorm"))]  # fmt: skip
    assert rows == [1, 2, 3]
    assert recipe.groups.groups[3].frozen
    one = spec.decode(genes(spec, 0.1, 0.5, 2, 3, 5))  # of equal genes the first
    assert inputs(one) == [[0], [1, 2], [3], [4], [5]]


def test_layers_are_left_out() -> None:
    spec = alone(layers="removed", fewer=(2.0, 2.0))
    assert spec.labels == tuple(f"layer {layer} goes" for layer in range(1, LAYERS))
    recipe = spec.decode(genes(spec, 0.0, 0.0, 1, 4))
    assert inputs(recipe) == [[0], [2], [3], [5]]
    assert recipe.coefficients["weight"].tolist() == [[1.0]] * 5


@pytest.mark.parametrize("settings", [{"layers": "merged", "fewer": (0.0, 5.0)}, {"layers": "removed"}])
def test_recipes_are_read_back(settings: dict[str, Any]) -> None:
    spec, draw = alone(**settings), np.random.default_rng(0)
    for _ in range(20):
        recipe = spec.decode(draw.random(spec.n_var))
        again = spec.encode(recipe)
        assert spec.decode(again) == recipe
        np.testing.assert_array_equal(spec.encode(spec.decode(again)), again)


def test_several_models_are_merged_and_shortened() -> None:
    spec = space(models=(A, B), layers="merged", depth="model", fewer=(0.0, 2.0))
    whole = space(models=(A, B), depth="model")
    assert spec.labels[: whole.n_var] == whole.labels
    own = np.random.default_rng(1).random(whole.n_var)
    recipe = spec.decode([*own, *genes(spec, 0.9, 0.5, 1, 3)])
    assert recipe.sources == (whole.decode(own),)
    assert recipe.references == (BASE, A, B)
    np.testing.assert_allclose(spec.encode(recipe)[: whole.n_var], own)
    assert spec.decode([*own, *genes(spec, 0.1, 0.5, 1, 3)]) == whole.decode(own)
    with pytest.raises(NotExpressible):
        whole.encode(recipe)
    with pytest.raises(NotExpressible, match=r"lets layers \[1, 2, 3\] go"):
        spec.encode(space(models=(A, B), layers="removed", depth="model", fewer=(3.0, 3.0)).decode(
            [*own, *genes(spec, 0.1, 0.5, 1, 2, 3)[2:]]
        ))  # fmt: skip


def test_starts_let_those_go_that_change_least() -> None:
    influence = (0.9, 0.5, 0.1, 0.3, 0.2, 0.8)
    spec = alone(layers="merged", fewer=(1.0, 3.0), influence=influence)
    names, genomes = spec.starts({"uniform": {"weight": (1.0,)}})
    assert names == ("uniform-1 layers", "uniform-3 layers")
    first, last = (inputs(spec.decode(row)) for row in genomes)
    assert first == [[0], [1, 2], [3], [4], [5]]
    assert last == [[0], [1, 2, 3, 4], [5]]
    unknown = alone(layers="removed")  # one layer, a sixth of which is less than that
    (row,) = unknown.starts({"uniform": {"weight": (1.0,)}})[1]
    assert inputs(unknown.decode(row)) == [[0], [1], [2], [3], [5]]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"fewer": (1.0, 2.0)}, "write genome.layers=merged or removed"),
        ({"layers": "merged", "fewer": (3.0, 1.0)}, "the smaller number first"),
        ({"layers": "merged", "fewer": (1.0, 2.5)}, "two whole numbers"),
        ({"layers": "removed", "fewer": (1.0, 6.0)}, "lets 6 of 6 layers go; expected at most 5"),
        ({"layers": "removed", "influence": (1.0, 6.0)}, "has 2 numbers for 6 layers"),
    ],
)
def test_settings_that_fit_no_model_are_told(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        alone(**settings)
