"""The search space as a bijection: by random sampling everywhere, and recipes of other searches in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from evomerge.genome import BASES, DEPTHS, GenomeSettings, NotExpressible, build
from evomerge.recipe import CheckpointRef, Coefficient, Group, OutputLayer, Recipe
from tests.genome.spaces import BASE, DENSITY, LAMBDA, NAMES, SHARE, WEIGHT, A, B, T, space, template


def every_space() -> list[Any]:
    found = []
    for depth in DEPTHS:
        for split in (False, True):
            for basis in BASES if depth == "smooth" else ("points",):
                for declared in ((WEIGHT, DENSITY, LAMBDA), (SHARE, DENSITY), (T,)):
                    settings = {"depth": depth, "split_kinds": split, "basis": basis, "control_points": 3}
                    names = "+".join(c.name + "%" * c.simplex for c in declared)
                    name = f"{depth}-{basis}-{'split' if split else 'whole'}-{names}"
                    found.append(pytest.param(declared, settings, id=name))
    return found


@pytest.mark.parametrize(("declared", "settings"), every_space())
def test_genomes_and_recipes_are_one_to_one(declared: Sequence[Coefficient], settings: dict[str, Any]) -> None:
    """Random genomes of the open cube: back and forth, all different, in bounds and on the simplex."""
    genome = space(declared, **settings)
    assert len(genome.labels) == genome.n_var == len(set(genome.labels))
    random = np.random.default_rng(7)
    digests = set()
    for _ in range(25):
        x = random.uniform(0.001, 0.999, genome.n_var)
        recipe = genome.decode(x)
        digests.add(recipe.digest)
        assert np.abs(genome.encode(recipe) - x).max() < 1e-9
        nudged = x.copy()
        nudged[random.integers(genome.n_var)] += 1e-6
        digests.add(genome.decode(nudged).digest)
        for coefficient in declared:
            values = recipe.coefficients[coefficient.name]
            if coefficient.simplex:
                assert (values >= 0.0).all()
                assert np.abs(values.sum(axis=1) - 1.0).max() < 1e-12
            else:
                assert coefficient.low <= values.min() <= values.max() <= coefficient.high
    assert len(digests) == 50


@pytest.mark.parametrize(("declared", "settings"), every_space())
def test_corners_of_the_cube_stay_in_bounds(declared: Sequence[Coefficient], settings: dict[str, Any]) -> None:
    genome = space(declared, **settings)
    random = np.random.default_rng(8)
    for x in [np.zeros(genome.n_var), np.ones(genome.n_var), *random.integers(0, 2, (20, genome.n_var)).astype(float)]:
        recipe = genome.decode(x)
        for coefficient in declared:
            values = recipe.coefficients[coefficient.name]
            assert coefficient.low <= values.min()
            assert values.max() <= coefficient.high


@pytest.mark.parametrize(
    "bad", [[0.5], [0.5, 0.5, 1.0000001], [-1e-9, 0.5, 0.5], [np.nan, 0.5, 0.5], [np.inf, 0.0, 0.0]]
)
def test_nothing_is_clamped(bad: list[float]) -> None:
    genome = space(depth="model", own_groups=())
    with pytest.raises(ValueError, match="expected"):
        genome.decode(bad)


def test_starts_are_encoded_where_they_can_be() -> None:
    genome = space((SHARE,), depth="layer")
    names, X = genome.starts(
        {
            "uniform": {"weight": 1 / 3},
            "again": {"weight": (2.0, 2.0, 2.0)},
            "model:0": {"weight": (1.0, 0.0, 0.0)},
            "model:2": {"weight": (0.0, 0.0, 1.0)},
        }
    )
    assert names == ("uniform", "model:0", "model:2"), "only proportions matter, so the second is the first"
    assert genome.decode(X[1]).coefficients["weight"].tolist() == [[1.0, 0.0, 0.0]] * 9
    assert genome.decode(X[2]).coefficients["weight"].tolist() == [[0.0, 0.0, 1.0]] * 9
    bounded = space(bounds={"weight": [0.0, 1.0]}, depth="smooth", basis="cosine")
    points = {"task_arithmetic:0.3": {"weight": 0.3}, "too much": {"weight": 1.2}, "model:1": {"weight": (0, 1, 0)}}
    names, X = bounded.starts(points)
    assert names == ("task_arithmetic:0.3", "model:1")
    assert bounded.decode(X[0]).coefficients["weight"] == pytest.approx(0.3)
    assert space((T,), models=(A, B)).starts({})[1].shape == (0, 9)


def test_recipes_of_coarser_searches_are_encoded_by_place() -> None:
    random = np.random.default_rng(1)
    fine = space(depth="layer", split_kinds=True)
    for settings in (
        {"depth": "model"},
        {"depth": "blocks", "block_size": 2},
        {"depth": "linear"},
        {"depth": "layer"},
    ):
        coarse = space(**settings)
        recipe = coarse.decode(random.random(coarse.n_var))
        again = fine.decode(fine.encode(recipe))
        for name in NAMES:
            ours = again.coefficients["weight"][again.groups.index(name)]
            theirs = recipe.coefficients["weight"][recipe.groups.index(name)]
            assert ours == pytest.approx(theirs, abs=1e-12)
    with pytest.raises(NotExpressible, match="several values within"):
        space(depth="model").encode(fine.decode(random.random(fine.n_var)))


def test_models_may_come_in_another_order() -> None:
    """Coefficients go with their models; those that all models share, as lambda does, stay."""
    settings: dict[str, Any] = {"depth": "model", "own_groups": (), "shared": ("lambda",)}
    ours, theirs = (space((WEIGHT, LAMBDA), models=models, **settings) for models in ((A, B), (B, A)))
    assert ours.encode(theirs.decode([0.1, 0.9, 0.4])) == pytest.approx([0.9, 0.1, 0.4])


def test_the_order_counts_where_the_method_or_the_reference_depends_on_it() -> None:
    slerp, turned = (space((T,), models=models, symmetric=False) for models in ((A, B), (B, A)))
    with pytest.raises(NotExpressible, match="another order"):
        slerp.encode(turned.decode(np.full(9, 0.3)))
    alone, other = (
        build(GenomeSettings(), (WEIGHT,), template(models, base=None), NAMES) for models in ((A, B), (B, A))
    )
    with pytest.raises(NotExpressible, match="another order"):
        alone.encode(other.decode(np.full(18, 0.3)))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"method": "dare_ties"}, "uses dare_ties"),
        ({"options": {"normalize": True}}, "options"),
        ({"base": CheckpointRef("elsewhere")}, "base is elsewhere"),
        ({"sources": (A, B)}, "merges a, b"),
    ],
)
def test_recipes_of_other_merges_are_not_expressible(change: dict[str, Any], why: str) -> None:
    other = build(GenomeSettings(), (WEIGHT,), template(**change), NAMES)
    with pytest.raises(NotExpressible, match=why):
        space().encode(other.decode(np.full(other.n_var, 0.5)))


def test_recipes_outside_the_space_are_not_expressible() -> None:
    genome = space(bounds={"weight": [0.0, 1.0]})
    with pytest.raises(NotExpressible, match="outside the search range"):
        genome.encode(genome.recipe({"weight": 1.1}))
    line = space(depth="linear")
    bent = space(depth="layer").decode(np.random.default_rng(0).random(27))
    with pytest.raises(NotExpressible, match="do not lie on a curve"):
        line.encode(bent)
    for change in ({"layers": (OutputLayer(((0, 0),)),)}, {"embeddings": "base"}):
        with pytest.raises(NotExpressible, match="layers or embeddings"):
            space(depth="layer").encode(replace(bent, **change))
    with pytest.raises(NotExpressible, match="frozen in only one"):
        space(frozen=("head",)).encode(bent)
    with pytest.raises(NotExpressible, match="only one of recipe and search has the coefficients density"):
        space((WEIGHT, DENSITY)).encode(bent)
    fixed = space((WEIGHT, DENSITY), fixed={"*": {"density": 0.5}})
    with pytest.raises(NotExpressible, match="density of norm is not searched"):
        fixed.encode(space((WEIGHT, DENSITY)).recipe({"density": 0.6}))
    with pytest.raises(ValueError, match="no coefficient 'wieght'"):
        genome.recipe({"wieght": 1.0})


def test_the_recipe_carries_what_the_template_says() -> None:
    genome = build(GenomeSettings(), (WEIGHT,), template(seed=5, out_dtype="float16", options={"k": 1}), NAMES)
    recipe = genome.decode(np.zeros(genome.n_var))
    assert (recipe.seed, recipe.out_dtype, recipe.options, recipe.base) == (5, "float16", {"k": 1}, BASE)
    assert Recipe.from_json(recipe.to_json()).digest == recipe.digest
    assert isinstance(recipe.groups.groups[0], Group)
