"""Recipes of recipes: what is merged from the model of another recipe, without writing that model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from evomerge.checkpoints import open_source
from evomerge.errors import InputError
from evomerge.merging import (
    Checkpoints,
    LiveModel,
    Merger,
    NonFinite,
    PreparedSettings,
    WeightCache,
    footprint,
    merge_to_folder,
)
from evomerge.merging.prepared import prepared_bounds
from evomerge.recipe import CheckpointRef, OutputLayer, Recipe
from tests.building import tiny
from tests.merging.conftest import Family, make_recipe


def two_stages(base: Path, one: Path, two: Path, method: str = "dare_ties", **changes: object) -> Recipe:
    """The average of one model and of a merge of two."""
    inner = make_recipe(method, [one, two], base, seed=3)
    outer = make_recipe("ties", [one, two], base, options={"scope": "global"})
    return replace(outer, sources=(inner, outer.sources[1]), **changes)


def written_out(recipe: Recipe, folder: Path) -> Recipe:
    """The same recipe with the models of its inner recipes as folders."""

    def written(number: int, source: object) -> object:
        if not isinstance(source, Recipe):
            return source
        inner = written_out(source, folder / f"inside {number}")
        return CheckpointRef(str(merge_to_folder(inner, folder / str(number))))

    sources = tuple(written(number, source) for number, source in enumerate(recipe.sources))
    return replace(recipe, sources=sources, base=written(99, recipe.base))


def cases(base: Path, one: Path, two: Path) -> dict[str, Recipe]:
    plain = make_recipe("linear", [one, two], base)
    nested = two_stages(base, one, two)
    return {
        "a survey over what is merged": nested,
        "inputs that are rounded": replace(nested, dtype="bfloat16"),
        "three stages": replace(plain, sources=(nested, make_recipe("linear", [one])), base=None),
        "a base that is merged": replace(
            make_recipe("task_arithmetic", [one, two], base), base=make_recipe("slerp", [one, two])
        ),
    }


@pytest.mark.parametrize("case", list(cases(Path(), Path(), Path())))
@pytest.mark.parametrize("model_type", ["llama", "mixtral"])
def test_the_model_in_between_is_never_missed(
    family: Callable[..., Family], tmp_path: Path, model_type: str, case: str
) -> None:
    """Every tensor is what it is when the inner models are written to folders and merged from there."""
    folders = family(model_type, torch.float32)
    recipe = cases(*folders)[case]
    expected = dict(Merger(Checkpoints.open(flat := written_out(recipe, tmp_path))).stream(flat))
    checkpoints = Checkpoints.open(recipe)
    merger = Merger(checkpoints)
    merged = dict(merger.stream(recipe))
    assert merged.keys() == expected.keys()
    assert [name for name in expected if not torch.equal(merged[name], expected[name])] == []
    streamed = dict(Merger(checkpoints, weights=WeightCache(torch.device("cpu"), budget=10**9)).stream(recipe))
    assert [name for name in expected if not torch.equal(streamed[name], expected[name])] == []


def test_installed_is_exported(family: Callable[..., Family], tmp_path: Path) -> None:
    base, one, two = family("llama", tie_word_embeddings=True)
    recipe = two_stages(base, one, two)
    checkpoints = Checkpoints.open(recipe)
    live, merger = LiveModel.load(base), Merger(checkpoints)
    assert live.fits(merger.plan(recipe)), "an inner recipe changes no shapes"
    live.install(merger, recipe)
    out = merge_to_folder(recipe, tmp_path / "out", merger=Merger(checkpoints))
    assert Recipe.load(out / "recipe.json") == recipe
    loaded = type(live.model).from_pretrained(out, dtype=torch.float32).state_dict()
    assert [name for name, tensor in live.model.state_dict().items() if not torch.equal(tensor, loaded[name])] == []


def test_what_changed_is_merged(family: Callable[..., Family]) -> None:
    """A coefficient of the inner recipe is part of every tensor's key; one of the outer recipe of its row's."""
    base, one, two = family()
    recipe = two_stages(base, one, two)
    live, merger = LiveModel.load(base), Merger(Checkpoints.open(recipe))
    live.install(merger, recipe)
    values = {name: array.copy() for name, array in recipe.coefficients.items()}
    values["weight"][0] *= 0.5
    changed = replace(recipe, coefficients=values)
    assert {name for name in live.places if ".layers.0." in name} == set(live.install(merger, changed))
    inner = recipe.sources[0]
    assert isinstance(inner, Recipe)
    other = replace(changed, sources=(replace(inner, seed=4), recipe.sources[1]))
    assert set(live.install(merger, other)) == live.places.keys()


def test_stacked_inside(family: Callable[..., Family], tmp_path: Path) -> None:
    """A model put together from layers, merged with another of its shape."""
    base, one, two = family()
    layers = tuple(OutputLayer(((0, layer), (1, layer))) for layer in (0, 1, 1))
    first = replace(make_recipe("linear", [one, two]), layers=layers)
    second = replace(make_recipe("linear", [two, one]), layers=layers)
    outer = replace(make_recipe("linear", [one, two]), sources=(first, second))
    merger = Merger(Checkpoints.open(outer))
    assert merger.plan(outer).outputs.config["num_hidden_layers"] == 3
    out = merge_to_folder(outer, tmp_path / "out")
    expected = dict(Merger(Checkpoints.open(flat := written_out(outer, tmp_path / "flat"))).stream(flat))
    merged = load_file(out / "model.safetensors")
    assert merged.keys() == expected.keys()
    assert [name for name in merged if not torch.equal(merged[name], expected[name])] == []
    live = LiveModel.load(base).rebuilt(merger.plan(outer))
    live.install(merger, outer)
    assert LiveModel.load(out).checksum() == live.checksum()
    with pytest.raises(InputError, match=r"'model\.layers\.2\..*but has no such tensor"):
        merger.plan(replace(outer, sources=(first, CheckpointRef(str(two)))))


def test_layers_that_would_be_left_out(family: Callable[..., Family], tmp_path: Path) -> None:
    """More layers inside than the reference has, and a checkpoint of another depth beside a recipe of layers."""
    _, one, two = family()
    stacked = replace(make_recipe("linear", [one, two]), layers=(OutputLayer(((0, 0), (1, 0))),) * 3)
    outer = replace(make_recipe("linear", [one, two]), sources=(CheckpointRef(str(one)), stacked))
    with pytest.raises(InputError, match=r"sources\[1\] has 'model\.layers\.2\..*' and 8 more, for which"):
        merge_to_folder(outer, tmp_path / "out")
    deep = tiny("llama", tmp_path / "deep", 3, num_hidden_layers=3)
    cut = replace(make_recipe("linear", [deep, deep]), layers=(OutputLayer(((0, 0), (1, 2))),) * 2)
    three = make_recipe("linear", [one, deep, one])
    outer = replace(three, sources=(*three.sources[:2], cut))
    with pytest.raises(InputError, match=r"sources\[1\] has 'model\.layers\.2\..*' and 8 more, for which"):
        merge_to_folder(outer, tmp_path / "out")


def test_as_a_source(family: Callable[..., Family], tmp_path: Path) -> None:
    """The source of a recipe is like that of the folder which the recipe is exported to."""
    base, one, two = family("llama", tie_word_embeddings=True)
    outer = two_stages(base, one, two)
    (entry, *_) = Merger(Checkpoints.open(outer)).plan(outer).outputs.merged["model.norm.weight"].inputs[1:]
    folder = open_source(merge_to_folder(outer.sources[0], tmp_path / "out"))
    assert entry.source.fingerprint() == folder.fingerprint()
    assert {n: (s.dtype, s.shape) for n, s in entry.source.specs.items()} == {
        n: (s.dtype, s.shape) for n, s in folder.specs.items()
    }
    assert not entry.in_place
    with pytest.raises(KeyError):
        entry.source.tensor("nothing")


def test_infinity_inside(family: Callable[..., Family]) -> None:
    base, one, two = family()
    recipe = two_stages(base, one, two, "task_arithmetic")
    inner = recipe.sources[0]
    huge = {name: array * 1e38 * 10 for name, array in inner.coefficients.items()}
    sources = (replace(inner, coefficients=huge), inner)
    with pytest.raises(NonFinite):
        list(Merger(Checkpoints.open(recipe)).stream(replace(recipe, sources=sources)))


def test_what_is_wrong_inside(family: Callable[..., Family]) -> None:
    base, one, two = family()
    recipe = two_stages(base, one, two)
    inner = recipe.sources[0]
    broken = replace(recipe, sources=(replace(inner, coefficients={}), replace(inner, statistics=("5a" * 32,))))
    with pytest.raises(InputError) as caught:
        Merger(Checkpoints.open(recipe)).plan(broken)
    assert "sources[1].recipe: statistics names 1; expected none" in str(caught.value)
    broken = replace(recipe, sources=(replace(inner, coefficients={}), inner))
    with pytest.raises(InputError, match=r"sources\[0\]: .*no values for coefficient 'weight'"):
        Merger(Checkpoints.open(recipe)).plan(broken)


def test_predicted_memory(family: Callable[..., Family]) -> None:
    """One merged tensor for each inner recipe, and what that one takes, beside the result."""
    base, one, two = family()
    recipe = two_stages(base, one, two)
    checkpoints = Checkpoints.open(recipe)
    largest = max(spec.nbytes for spec in checkpoints.reference.specs.values())
    assert footprint(checkpoints, recipe, model_dtype="bfloat16").working == largest
    deep = replace(recipe, sources=(recipe, recipe))
    found = footprint(checkpoints, deep, model_dtype="bfloat16")
    assert found.working == 2 * 2 * largest
    bounds = prepared_bounds(Merger(checkpoints).outputs(recipe))
    assert found.prepared["memory"] == 2 * sum(bounds.values()), "of the outer recipe, and once for both inner ones"
    nowhere = footprint(checkpoints, deep, model_dtype="bfloat16", prepared=PreparedSettings(disk=0, memory=0))
    assert nowhere.working == 2 * (2 * largest + max(bounds.values())) + max(bounds.values())
