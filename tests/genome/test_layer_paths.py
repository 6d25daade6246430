"""Paths through layers: genes to recipes and back, worked by hand for six layers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from evomerge.errors import InputError
from evomerge.genome import GenomeSettings, GenomeSpec, NotExpressible, PathGenes
from evomerge.recipe import Recipe
from tests.genome.spaces import LAYERS, NAMES, WEIGHT, A, B, C, space

PLAIN = list(range(LAYERS))


def paths(models: Any = (A, B), layers: str = "path", **settings: Any) -> GenomeSpec:
    return space(models=models, layers=layers, **settings)


def route(recipe: Recipe) -> list[tuple[Any, int]]:
    """The models' names and the layers of a path."""
    return [(recipe.sources[source].label, layer) for ((source, layer),) in (own.inputs for own in recipe.layers)]


def of(name: str, *layers: int) -> list[tuple[str, int]]:
    return [(name, layer) for layer in layers]


def genome(spec: GenomeSpec, **values: float) -> np.ndarray:
    """Genes in the middle but for those whose labels have these words, with underscores for spaces."""
    found = np.full(spec.n_var, 0.5)
    for words, value in values.items():
        where = [i for i, label in enumerate(spec.labels) if label == words.replace("_", " ")]
        assert len(where) == 1, (words, spec.labels)
        found[where] = value
    return found


def factors(recipe: Recipe) -> dict[str, float]:
    labels = [group.label for group in recipe.groups.groups]
    return dict(zip(labels, recipe.coefficients["scale"].tolist(), strict=True))


def test_a_path_of_jumps_has_few_genes() -> None:
    assert paths(jumps=2).labels == (
        "model of the first layers",
        "jump 1 place", "jump 1 model", "jump 1 shift", "jump 1 scale",
        "jump 2 place", "jump 2 model", "jump 2 shift", "jump 2 scale",
        "model of embeddings, last norm and head",
    )  # fmt: skip
    assert paths(models=(A, B, C)).n_var == 10
    assert paths(models=(A,), jumps=1, scales="none").labels == ("jump 1 place", "jump 1 shift")


def test_jumps_lead_to_another_model_back_and_ahead() -> None:
    """Six layers, two jumps, at most nine layers: one that is left out or repeated at each jump.

    The first jump has places 1 and 2, the second 3, 4 and 5. From a to b after layer 1, b's layer 1 being next (back by
    one), then from b's layer 4 to a, of which layer 5 is left.
    """
    spec = paths()
    own = {"model_of_the_first_layers": 0.2, "jump_1_place": 0.9, "jump_1_model": 0.8, "jump_1_shift": 0.1,
           "jump_2_place": 0.5, "jump_2_model": 0.1, "jump_2_shift": 0.9, "jump_1_scale": 1.0}  # fmt: skip
    recipe = spec.decode(genome(spec, **own))
    assert route(recipe) == [*of("a", 0, 1), *of("b", 1, 2, 3), *of("a", 5)]
    assert recipe.sources == (A, B)
    assert recipe.base is None
    assert recipe.ends is not None
    assert recipe.ends.before == recipe.ends.after == (1,)  # a gene of 0.5 is the second of two
    # The scale e^0.7 holds from the second layer 1 on: the second jump has none of its own (a gene of 0.5).
    assert factors(recipe) == {"out of layers 2 to 5": pytest.approx(math.exp(-0.7)), "rest": 1.0}
    first = recipe.groups.groups[0]
    assert (first.layers, first.filters) == ((2, 6), ("o_proj",))
    assert recipe.groups.groups[1].frozen
    rows = [recipe.groups.index(f"model.layers.{layer}.{part}.weight") for layer, part in
            ((1, "self_attn.o_proj"), (2, "self_attn.o_proj"), (2, "mlp.up_proj"))]  # fmt: skip
    assert rows == [1, 0, 1]


def test_a_jump_never_lands_behind_the_next() -> None:
    spec = paths(longest=12, jumps=2, scales="none", outside=0)  # three layers back or ahead
    own = {"jump_1_place": 0.9, "jump_1_shift": 1.0, "jump_2_place": 0.1, "jump_2_shift": 0.0}
    recipe = spec.decode(genome(spec, model_of_the_first_layers=0.1, jump_1_model=0.1, jump_2_model=0.1, **own))
    assert route(recipe) == of("a", 0, 1, 2, 0, 1, 2, 3, 4, 5)  # from before layer 2 to no later than before 3
    assert recipe.sources == (A,)


def test_the_published_space_worked_by_hand() -> None:
    """Two models of six layers, twice: slots 0 to 5 are a's, 6 to 11 b's, and so on; those above one half are taken."""
    spec = paths(layers="data_flow", repeats=2, longest=24)
    assert spec.n_var == 24 + 24 + 1
    assert spec.labels[7] == "layer 1 of b (1)"
    assert spec.labels[24 + 13] == "scale into layer 1 of a (2)"
    genes = np.full(spec.n_var, 0.2)
    genes[[0, 1, 2, 8, 9, 13, 17]] = [0.6, 0.9, 0.51, 0.7, 0.8, 0.99, 0.6]
    genes[24:48] = 0.5
    genes[24 + 1] = 0.9  # a's layer 1 follows its layer 0: no effect
    genes[24 + 8] = 1.0  # from a's layer 2 to b's layer 2: e^0.7
    genes[24 + 13] = 0.0  # from b's layer 3 to a's layer 1: e^-0.7, so 1 in all
    recipe = spec.decode(genes)
    assert route(recipe) == [*of("a", 0, 1, 2), *of("b", 2, 3), *of("a", 1, 5)]
    found = factors(recipe)
    assert found.pop("out of layers 3 to 4") == pytest.approx(math.exp(-0.7))
    assert all(value == pytest.approx(1.0) for value in found.values())
    again = spec.encode(recipe)
    assert route(spec.decode(again)) == route(recipe)
    assert (again[:24] > 0.5).sum() == 7
    np.testing.assert_allclose(again[[24 + 1, 24 + 8, 24 + 13]], [0.5, 1.0, 0.0], atol=1e-9)


def test_published_paths_are_repaired() -> None:
    spec = paths(layers="data_flow", longest=3, scales="none", outside=1)
    assert spec.n_var == 24
    nothing = np.full(24, 0.3)
    nothing[[5, 20]] = 0.4  # of equal genes the first
    assert route(spec.decode(nothing)) == of("a", 5)
    genes = np.full(24, 0.6)
    genes[[2, 7, 23]] = 0.7
    assert route(spec.decode(genes)) == [("a", 2), ("b", 1), ("b", 5)]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"jumps": 4, "longest": 18, "models": (A, B, C)},
        {"models": (A,), "jumps": 3},
        {"longest": LAYERS, "scales": "none", "outside": 1},
        {"through": "both", "depth": "model"},
        {"through": "merge", "depth": "linear", "own_groups": ()},
        {"layers": "data_flow", "repeats": 3},
        {"layers": "data_flow", "repeats": 1, "longest": 4, "scales": "none", "through": "both"},
    ],
)
def test_recipes_are_read_back(settings: dict[str, Any]) -> None:
    spec, draw = paths(**settings), np.random.default_rng(0)
    longest = settings.get("longest", 9)
    for _ in range(25):
        recipe = spec.decode(draw.random(spec.n_var))
        assert 1 <= len(recipe.layers) <= longest
        again = spec.decode(spec.encode(recipe))
        assert (again.layers, again.ends, again.references) == (recipe.layers, recipe.ends, recipe.references)
        np.testing.assert_allclose(again.coefficients["scale"], recipe.coefficients["scale"], rtol=1e-9)


def test_paths_go_through_the_merge_too() -> None:
    spec, merge = paths(through="both", depth="model", jumps=1), space(models=(A, B), depth="model")
    assert spec.labels[: merge.n_var] == merge.labels
    own = np.random.default_rng(1).random(merge.n_var)
    last = np.full(spec.n_var - merge.n_var, 0.5)  # of three models the second
    last[[0, 2]] = 0.1, 0.9  # from a to the merge
    recipe = spec.decode([*own, *last])
    assert recipe.sources == (A, B, merge.decode(own))
    assert [source for ((source, _),) in (layer.inputs for layer in recipe.layers)] == [0, 0, 0, 2, 2, 2]
    np.testing.assert_allclose(spec.encode(recipe)[: merge.n_var], own)
    with pytest.raises(NotExpressible):
        merge.encode(recipe)
    with pytest.raises(NotExpressible):
        paths().encode(recipe)


@pytest.mark.parametrize("layers", ["path", "data_flow"])
def test_starts_are_the_plain_paths_of_all_models(layers: str) -> None:
    points = {"uniform": {"weight": (0.5, 0.5)}, "model:0": {"weight": (1.0, 0.0)}}
    spec = paths(layers=layers)
    names, rows = spec.starts(points)
    assert names == ("path of a", "path of b")
    assert [route(spec.decode(row)) for row in rows] == [of("a", *PLAIN), of("b", *PLAIN)]
    assert all(spec.decode(row).ends.before == (0,) for row in rows)  # each its own alone
    both = paths(layers=layers, through="both", depth="model", own_groups=())
    names, rows = both.starts(points)
    assert names == ("path of a", "path of b", "path of uniform", "path of model:0")
    merge = both.decode(rows[2]).sources[0]
    assert isinstance(merge, Recipe)
    assert merge.coefficients["weight"][0].tolist() == [0.5, 0.5]


def test_what_no_path_of_the_search_is_cannot_be_read() -> None:
    spec = paths(layers="data_flow", scales="none")
    several = spec.decode(np.full(spec.n_var, 0.6))
    with pytest.raises(NotExpressible, match="at most 2 jumps"):
        paths().encode(several)
    with pytest.raises(NotExpressible, match="not that of a path"):
        spec.encode(space(models=(A, B)).decode(np.full(space(models=(A, B)).n_var, 0.5)))
    with pytest.raises(NotExpressible, match="not that of a path"):
        paths(models=(A, C)).encode(several)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"layers": "kept", "jumps": 3}, "genome.jumps shape a path; write genome.layers=path or data_flow"),
        ({"repeats": 3}, "genome.repeats belongs to genome.layers=data_flow"),
        ({"jumps": 6}, "a path through 6 layers has at most 5"),
        ({"longest": 5}, "goes through all 6 layers"),
        ({"outside": 2}, "genome.outside is 2; expected a place among a, b, 0 the first"),
        ({"bounds": {"weight": (0.0, 1.0)}}, "genome.bounds would change nothing"),
        ({"fewer": (1.0, 2.0)}, "write genome.layers=merged or removed"),
        ({"models": (A,), "longest": LAYERS, "scales": "none"}, "so there is one path; raise genome.longest"),
    ],
)
def test_settings_that_fit_no_path_are_told(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        paths(**settings)


def test_scales_want_projections_of_a_known_name() -> None:
    names = [name.replace("o_proj", "last") for name in NAMES]
    with pytest.raises(InputError, match=r"o_proj or down_proj; write genome\.scales=none"):
        space((WEIGHT,), (A, B), names, layers="path")
    assert space((WEIGHT,), (A, B), names, layers="path", scales="none").n_var == 8


def test_the_longest_path_and_the_one_backwards_are_of_the_space() -> None:
    """By these a search is told what memory it takes, and whether layers may stand elsewhere."""
    for spec, most in ((paths(), 8), (paths(layers="data_flow", longest=7), 7), (paths(longest=LAYERS), LAYERS)):
        assert isinstance(spec.depth, PathGenes)
        assert len(spec.depth.longest(spec.template).layers) == most
    moving, staying = (paths(longest=longest).depth for longest in (8, LAYERS))
    assert isinstance(moving, PathGenes)
    assert isinstance(staying, PathGenes)
    like = paths().template
    assert [layer for _, layer in route(moving.turned(like))] == [*reversed(PLAIN)]
    assert [layer for _, layer in route(staying.turned(like))] == PLAIN


def test_of_several_rounds_the_last_is_of_paths() -> None:
    asked = GenomeSettings(layers="path", jumps=1, bounds={"weight": (0.0, 1.0)}, filters=("mlp",))
    first, last = (asked.of_round(number, 3) for number in (2, 3))
    assert first == GenomeSettings(bounds={"weight": (0.0, 1.0)}, filters=("mlp",))
    assert last == GenomeSettings(layers="path", jumps=1, filters=("mlp",))
    both = replace(asked, through="both")
    assert both.of_round(3, 3) == both
    assert asked.of_round(1, 1) == asked
