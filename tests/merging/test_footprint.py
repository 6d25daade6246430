"""Predicted bytes are the bytes that are then used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from evomerge import methods
from evomerge.checkpoints import open_source, read_header
from evomerge.merging import Checkpoints, LiveModel, Merger, PreparedSettings, footprint, merge_to_folder
from evomerge.merging.prepared import prepared_bounds
from tests.merging.conftest import Family, make_recipe
from tests.merging.made_up import MadeUp, with_keys


def test_live_model(family: Callable[..., Family]) -> None:
    for changes in ({}, {"tie_word_embeddings": True}):
        base, one, two = family("llama", **changes)
        recipe = make_recipe("linear", [one, two], base)
        checkpoints = Checkpoints.open(recipe)
        for dtype in ("float32", "bfloat16"):
            model = LiveModel.load(base, dtype=dtype).model
            assert footprint(checkpoints, recipe, model_dtype=dtype).live == sum(p.nbytes for p in model.parameters())


def test_export(family: Callable[..., Family], tmp_path: Path) -> None:
    base, one, two = family()
    for out_dtype in ("float32", "bfloat16"):
        recipe = make_recipe("linear", [one, two], base, out_dtype=out_dtype)
        predicted = footprint(Checkpoints.open(recipe), recipe).export
        out = merge_to_folder(recipe, tmp_path / out_dtype)
        written = sum(path.stat().st_size for path in out.iterdir())
        assert written <= predicted <= written + 64_000_000


def test_working_memory_counts_only_what_is_copied(family: Callable[..., Family]) -> None:
    largest = 259 * 16
    base, one, two = family()
    recipe = make_recipe("linear", [one, two], base)
    checkpoints = Checkpoints.open(recipe)
    assert footprint(checkpoints, recipe).working == largest * 2  # bfloat16 inputs are read where they are mapped
    assert footprint(checkpoints, recipe, model_dtype="bfloat16").working == 0  # and merged where the model is
    base, one, two = family("llama", torch.float32)
    recipe = make_recipe("linear", [one, two], base, dtype="bfloat16")
    found = footprint(Checkpoints.open(recipe), recipe)
    assert found.working == largest * (2 + 3 * 2)
    assert found.mapped == 3 * sum(info.nbytes for info in Checkpoints.open(recipe).reference.specs.values())


def test_what_methods_prepare_is_counted_where_it_is_kept(family: Callable[..., Family]) -> None:
    base, one, two = family()
    recipe = make_recipe("ties", [one, two], base)
    checkpoints = Checkpoints.open(recipe)
    whole = footprint(checkpoints, recipe).prepared["memory"]
    assert whole > 0
    settings = PreparedSettings("folder", disk=whole // 3, memory=whole // 3)
    found = footprint(checkpoints, recipe, prepared=settings)
    assert sum(found.prepared.values()) == whole
    assert 0 < found.prepared["disk"] <= whole // 3
    assert 0 < found.prepared["memory"] <= whole // 3
    assert found.own == found.program + found.live + found.working + found.prepared["memory"]
    assert found.worker == found.own + found.mapped + found.prepared["disk"]
    assert not any(footprint(checkpoints, make_recipe("linear", [one, two])).prepared.values())


def test_what_is_prepared_anew_takes_memory_for_one_tensor(family: Callable[..., Family]) -> None:
    base, one, two = family()
    recipe = make_recipe("ties", [one, two], base)
    checkpoints = Checkpoints.open(recipe)
    assert footprint(checkpoints, recipe, model_dtype="bfloat16").working == 0
    nowhere = PreparedSettings(None, memory=0)
    bounds = prepared_bounds(Merger(checkpoints).outputs(recipe))
    found = footprint(checkpoints, recipe, model_dtype="bfloat16", prepared=nowhere)
    assert found.working == max(bounds.values()) < sum(bounds.values()) == found.prepared["nowhere"]


def test_tensors_that_a_method_leaves_alone_take_nothing(family: Callable[..., Family]) -> None:
    base, *experts = family()
    bounds = {}
    for matrices in ("layers", "all"):
        recipe = make_recipe("swudi", experts, base, options={"matrices": matrices})
        bounds[matrices] = prepared_bounds(Merger(Checkpoints.open(recipe)).outputs(recipe))
    assert "model.embed_tokens.weight" not in bounds["layers"]
    assert bounds["all"]["model.embed_tokens.weight"] > 0
    assert all("model.norm.weight" not in own for own in bounds.values())
    layer = "model.layers.0.mlp.down_proj.weight"
    assert 0 < bounds["layers"][layer] == bounds["all"][layer]


def test_prepared_arrays_stay_within_the_bound(family: Callable[..., Family], tmp_path: Path) -> None:
    """Of every method that prepares any; the files' headers aside."""
    base, one, two = family()
    prints = {path: open_source(path).fingerprint() for path in (base, one, two)}
    counted = 0
    for name in methods.names():
        declared = methods.load(name)
        recipe = make_recipe(name, [one, two][: declared.models[1]], None if declared.base == "none" else base)
        known = [replace(ref, fingerprint=prints[Path(ref.source)]) for ref in recipe.sources]
        own = None if recipe.base is None else replace(recipe.base, fingerprint=prints[base])
        recipe = with_keys(replace(recipe, sources=tuple(known), base=own))
        checkpoints, folder = Checkpoints.open(recipe), tmp_path / name
        settings = PreparedSettings(str(folder))
        list(Merger(checkpoints, prepared=settings, statistics=MadeUp(recipe, checkpoints)).stream(recipe))
        kept = sum(info.nbytes for part in folder.glob("part-*") for info in read_header(part).values())
        assert kept <= footprint(checkpoints, recipe, prepared=settings).prepared["disk"]
        counted += kept > 0
    assert counted
