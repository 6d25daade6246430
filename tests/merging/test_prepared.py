"""What does not depend on coefficients is computed once, however many candidates are merged."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from evomerge import methods
from evomerge.merging import Checkpoints, Merger
from tests.merging.conftest import Family, by_layer, make_recipe

METHOD = '''
"""Adds the mean of all deltas' norms, to show when things are computed."""

from collections import Counter

from evomerge.methods import MergeMethod, Option
from evomerge.recipe import Coefficient

CALLS = Counter()


def survey(tensors, options):
    CALLS["survey"] += 1
    # Twice over: a survey may go through the tensors again.
    return sum(1 for _ in tensors), sorted(context.name for context, sources in tensors if "delta" in sources.prepared)


def prepare(context, base, models, options):
    CALLS[context.name] += 1
    return {"delta": sum(model.float() - base.float() for model in models)}


def merge(context, sources, coefficients, out):
    count, names = sources.survey
    assert count == len(names) and context.name in names
    out.copy_(sources.base.float() + coefficients["lambda"] * sources.prepared["delta"])


METHOD = MergeMethod(
    name="counted_method",
    summary="the sum of deltas",
    paper="none",
    merge=merge,
    coefficients=lambda options: (Coefficient("lambda", 0.0, 1.0, 1.0, per_model=False),),
    options={"variant": Option("a", ("a", "b"), str, "changes nothing")},
    prepare=prepare,
    prepared_bytes=lambda shape, n_models, options: 0,
    survey=survey,
)
'''


@pytest.fixture
def calls(own_methods: Path) -> Counter[str]:
    """A method of the user's own in a folder of its own; gives how often its functions were called."""
    (own_methods / "counted_method.py").write_text(METHOD, encoding="utf-8")
    methods.load("counted_method")
    found: Counter[str] = sys.modules["evomerge.methods.counted_method"].CALLS
    return found


def test_once_for_all_candidates(family: Callable[..., Family], calls: Counter[str]) -> None:
    base, one, two = family()
    recipe = make_recipe("counted_method", [one, two], base)
    checkpoints = Checkpoints.open(recipe)
    merger = Merger(checkpoints)
    expected = {"survey": 1, **dict.fromkeys(checkpoints.merged_names, 1)}
    for scale in (1.0, 0.5, 0.25):
        values = recipe.coefficients["lambda"] * scale
        list(merger.stream(replace(recipe, coefficients={"lambda": values})))
        # A baseline of another method in between, as a search has them, costs nothing either.
        list(merger.stream(make_recipe("linear", [one, two], base)))
        assert calls == expected


def test_again_when_what_it_depends_on_changes(family: Callable[..., Family], calls: Counter[str]) -> None:
    base, one, two = family()
    recipe = make_recipe("counted_method", [one, two], base)
    merger = Merger(Checkpoints.open(recipe))
    changed = [
        recipe,
        make_recipe("counted_method", [one, two], base, options={"variant": "b"}),
        replace(recipe, seed=1),
        replace(recipe, dtype="bfloat16"),
        replace(recipe, sources=recipe.sources[::-1]),
    ]
    for count, variant in enumerate(changed, start=1):
        list(merger.stream(variant))
        assert set(calls.values()) == {count}
    list(merger.stream(replace(changed[-1], out_dtype="float32")))
    assert set(calls.values()) == {len(changed)}


def test_frozen_tensors_are_neither_surveyed_nor_prepared(family: Callable[..., Family], calls: Counter[str]) -> None:
    base, one, two = family()
    first, *others = by_layer().groups
    recipe = make_recipe("counted_method", [one, two], base)
    recipe = replace(recipe, groups=replace(recipe.groups, groups=(replace(first, frozen=True), *others)))
    merged = dict(Merger(Checkpoints.open(recipe)).stream(recipe))
    assert not [name for name in calls if ".layers.0." in name]
    assert [name for name in merged if ".layers.0." in name]
    assert all(isinstance(tensor, torch.Tensor) for tensor in merged.values())
