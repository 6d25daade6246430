"""Parts of a recipe that are read and refused by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evomerge.errors import InputError
from evomerge.merging import Checkpoints, LiveModel, Merger, merge_to_folder
from evomerge.merging.plan import unbuilt
from evomerge.recipe import CheckpointRef, OutputLayer, PostStep, Recipe
from tests.merging.conftest import Family, make_recipe


def everything(recipe: Recipe) -> Recipe:
    """A recipe with all that is not built."""
    scaled = OutputLayer(((0, 0), (1, 0)), base=0, scale=2.0)
    return replace(
        recipe,
        sources=(CheckpointRef("model"), replace(recipe, statistics=("5a" * 32,))),
        layers=(scaled,),
        statistics=("5a" * 32,),
    )


def test_each_is_named() -> None:
    plain = make_recipe("ties", [Path("one"), Path("two")], Path("base"))
    assert list(unbuilt(plain)) == []
    surplus = (
        "statistics names 1; expected none, which is what ties reads; recipes of a search name theirs by themselves"
    )
    unscaled = (
        "layers[0].scale is 2, but models do not scale hidden states between layers; divide instead what this layer "
        "and all later ones add to them: the scale of method passthrough, in groups of the projections that end a block"
    )
    assert list(unbuilt(everything(plain))) == [
        f"sources[1].recipe: {surplus}",
        unscaled,
        surplus,
    ]


def test_nowhere_are_they_left_out(family: Callable[..., Family], tmp_path: Path) -> None:
    """Neither in memory nor on disk."""
    base, one, two = family()
    recipe = make_recipe("ties", [one, two], base)
    merger, live = Merger(Checkpoints.open(recipe)), LiveModel.load(base)
    for change in ({"statistics": ("5a" * 32,)}, {"post": (PostStep("low_rank"),)}):
        with pytest.raises(InputError, match=next(iter(change))):
            live.install(merger, replace(recipe, **change))
        with pytest.raises(InputError, match=next(iter(change))):
            merge_to_folder(replace(recipe, **change), tmp_path / "out")
