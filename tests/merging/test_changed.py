"""Only tensors that a candidate changes are merged again, and the model is then what a fresh one would be."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from evomerge import methods
from evomerge.errors import InputError
from evomerge.merging import Checkpoints, LiveModel, Merger, NonFinite
from evomerge.recipe import Recipe
from tests.merging.conftest import Family, by_layer, make_recipe

METHOD = '''
"""The average, which counts the tensors that it merges."""

from collections import Counter

from evomerge.methods import MergeMethod, whole_tensor
from evomerge.recipe import Coefficient

MERGED = Counter()


def average(context, base, models, coefficients, options):
    MERGED[context.name] += 1
    return coefficients["scale"] * sum(models) / len(models)


METHOD = MergeMethod(
    name="counting_method",
    summary="the average",
    paper="none",
    merge=whole_tensor(average),
    coefficients=lambda options: (Coefficient("scale", 0.0, 2.0, 1.0, per_model=False),),
    base="none",
)
'''


@pytest.fixture
def merged(own_methods: Path) -> Counter[str]:
    """A method of the user's own; gives how often each tensor was merged with it since this was last cleared."""
    (own_methods / "counting_method.py").write_text(METHOD, encoding="utf-8")
    methods.load("counting_method")
    found: Counter[str] = sys.modules["evomerge.methods.counting_method"].MERGED
    return found


def scaled(recipe: Recipe, *scales: float) -> Recipe:
    """The same recipe with one scale for each layer and one for everything outside."""
    return replace(recipe, coefficients={"scale": np.asarray(scales)})


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_changed_is_merged(family: Callable[..., Family], merged: Counter[str], dtype: str) -> None:
    base, one, two = family()
    recipe = make_recipe("counting_method", [one, two])
    live, merger = LiveModel.load(base, dtype=dtype), Merger(Checkpoints.open(recipe))
    names = set(merger.checkpoints.merged_names)
    first = {name for name in names if ".layers.0." in name}
    outside = {name for name in names if ".layers." not in name}
    for scales, expected in (
        ((1.0, 1.0, 1.0), names),
        ((1.0, 1.0, 1.0), set()),
        ((0.5, 1.0, 1.0), first),
        ((0.5, 1.0, 0.9), outside),
        ((1.0, 1.0, 0.9), first),
    ):
        merged.clear()
        assert set(live.install(merger, scaled(recipe, *scales))) == expected
        assert merged == dict.fromkeys(expected, 1)


def test_a_repeated_head_is_merged_with_its_embeddings(family: Callable[..., Family], merged: Counter[str]) -> None:
    base, one, two = family("llama", tie_word_embeddings=True)
    recipe = make_recipe("counting_method", [one, two])
    live, merger = LiveModel.load(base), Merger(Checkpoints.open(recipe))
    live.install(merger, recipe)
    merged.clear()
    live.install(merger, scaled(recipe, *recipe.coefficients["scale"][:2], 0.1))
    assert merged == {"model.embed_tokens.weight": 1, "model.norm.weight": 1}


def test_frozen_tensors_are_installed_once(family: Callable[..., Family]) -> None:
    base, one, two = family()
    first, *others = by_layer().groups
    groups = replace(by_layer(), groups=(replace(first, frozen=True), *others))
    recipe = make_recipe("task_arithmetic", [one, two], base, groups=groups)
    live, merger = LiveModel.load(base), Merger(Checkpoints.open(recipe))
    assert [name for name in live.install(merger, recipe) if ".layers.0." in name]
    halved = {name: values / 2 for name, values in recipe.coefficients.items()}
    written = live.install(merger, replace(recipe, coefficients=halved))
    assert written
    assert not [name for name in written if ".layers.0." in name]


def test_a_failed_candidate_forgets_what_it_touched(family: Callable[..., Family], merged: Counter[str]) -> None:
    """And nothing else: what it did not reach is still the candidate's before."""
    base, one, two = family()
    recipe = scaled(make_recipe("counting_method", [one, two], out_dtype="float16"), 1.0, 1.0, 1.0)
    live, merger = LiveModel.load(base, dtype="float16"), Merger(Checkpoints.open(recipe))
    live.install(merger, recipe)
    before = live.checksum()
    with pytest.raises(NonFinite) as caught:
        live.install(merger, scaled(recipe, 1.0, 1e9, 1.0))
    assert live.checksum() != before
    merged.clear()
    assert live.install(merger, recipe) == (caught.value.name,)
    assert merged == {caught.value.name: 1}
    assert live.checksum() == before


def test_a_refused_candidate_touches_nothing(family: Callable[..., Family]) -> None:
    base, one, two = family()
    recipe = make_recipe("ties", [one, two], base)
    live, merger = LiveModel.load(base), Merger(Checkpoints.open(recipe))
    live.install(merger, recipe)
    with pytest.raises(InputError, match="weight"):
        live.install(merger, replace(recipe, coefficients={}))
    assert live.install(merger, recipe) == ()


def test_what_others_changed_is_written_again(family: Callable[..., Family]) -> None:
    base, one, two = family()
    recipe = make_recipe("linear", [one, two])
    live, merger = LiveModel.load(base), Merger(Checkpoints.open(recipe))
    live.install(merger, recipe)
    before = live.checksum()
    next(live.model.parameters()).data.zero_()
    live.forget()
    live.install(merger, recipe)
    assert live.checksum() == before


def variants(base: Path, one: Path, two: Path) -> list[Recipe]:
    """Recipes that share many tensors with each other, two that fail among them."""
    first, *others = by_layer().groups
    frozen = replace(by_layer(), groups=(replace(first, frozen=True), *others))
    arithmetic = make_recipe("task_arithmetic", [one, two], base)
    stepped = [
        replace(arithmetic, coefficients={**arithmetic.coefficients, "lambda": np.where(np.arange(3) == row, 0.5, 0.9)})
        for row in range(3)
    ]
    ties = {"scope": "global", "tie": "majority"}
    dare = make_recipe("dare_ties", [one, two], base)
    broken = {name: values.copy() for name, values in dare.coefficients.items()}
    broken["lambda"][1] = 1e9
    wide = replace(dare, out_dtype="float16")
    return [
        arithmetic,
        *stepped,
        replace(arithmetic, sources=arithmetic.sources[::-1]),
        replace(arithmetic, dtype="bfloat16"),
        replace(arithmetic, out_dtype="float32"),
        replace(arithmetic, groups=frozen),
        make_recipe("ties", [one, two], base, options=ties),
        make_recipe("ties", [one, two], base, options=ties, groups=frozen),
        make_recipe("linear", [two]),
        dare,
        replace(dare, seed=1),
        wide,
        replace(wide, coefficients=broken),
        replace(wide, coefficients={name: values * 1.0 for name, values in broken.items()}, seed=1),
    ]


@pytest.mark.parametrize(
    ("model_type", "changes"),
    [("llama", {}), ("llama", {"tie_word_embeddings": True}), ("mixtral", {}), ("gpt_neox", {})],
    ids=["llama", "llama-tied", "mixtral", "gpt_neox"],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_any_sequence_ends_as_a_fresh_installation(
    family: Callable[..., Family], model_type: str, changes: dict[str, bool], dtype: str
) -> None:
    base, one, two = family(model_type, torch.float32, **changes)
    recipes = variants(base, one, two)
    checkpoints = Checkpoints.open(recipes[0])
    fresh: dict[int, dict[str, torch.Tensor] | None] = {}
    for index, recipe in enumerate(recipes):
        model = LiveModel.load(base, dtype=dtype)
        try:
            model.install(Merger(checkpoints), recipe)
            fresh[index] = model.model.state_dict()
        except NonFinite:
            fresh[index] = None
    assert sum(state is None for state in fresh.values()) == 2
    live, merger = LiveModel.load(base, dtype=dtype), Merger(checkpoints)
    order = random.Random(model_type + dtype)
    kept = 0
    often = [5] * 4 + [1] * (len(recipes) - 4)  # those that differ in one layer alone
    for index in order.choices(range(len(recipes)), often, k=60):
        expected = fresh[index]
        if expected is None:
            with pytest.raises(NonFinite):
                live.install(merger, recipes[index])
            continue
        kept += len(live.install(merger, recipes[index])) < len(live.places.keys())
        state = live.model.state_dict()
        assert [name for name in state if not torch.equal(state[name], expected[name])] == []
    assert kept > 5
