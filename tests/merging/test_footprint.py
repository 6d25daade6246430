"""Predicted bytes are the bytes that are then used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from evomerge.merging import LiveModel, Sources, footprint, merge_to_folder
from tests.merging.conftest import Family, make_recipe


def test_live_model(family: Callable[..., Family]) -> None:
    for changes in ({}, {"tie_word_embeddings": True}):
        base, one, two = family("llama", **changes)
        sources = Sources.open(make_recipe("linear", [one, two], base))
        for dtype in ("float32", "bfloat16"):
            model = LiveModel.load(base, dtype=dtype).model
            assert footprint(sources, model_dtype=dtype).live == sum(p.nbytes for p in model.parameters())


def test_export(family: Callable[..., Family], tmp_path: Path) -> None:
    base, one, two = family()
    for out_dtype in ("float32", "bfloat16"):
        recipe = make_recipe("linear", [one, two], base, out_dtype=out_dtype)
        predicted = footprint(Sources.open(recipe), out_dtype=out_dtype).export
        out = merge_to_folder(recipe, tmp_path / out_dtype)
        written = sum(path.stat().st_size for path in out.iterdir())
        assert written <= predicted <= written + 64_000_000


def test_working_memory_counts_only_what_is_copied(family: Callable[..., Family]) -> None:
    largest = 259 * 16
    base, one, two = family()
    sources = Sources.open(make_recipe("linear", [one, two], base))
    assert footprint(sources).working == largest * 2  # bfloat16 inputs are read where they are mapped
    base, one, two = family("llama", torch.float32)
    sources = Sources.open(make_recipe("linear", [one, two], base))
    assert footprint(sources, dtype="bfloat16").working == largest * (2 + 3 * 2)
    assert footprint(sources).mapped == 3 * sum(info.nbytes for info in sources.reference.tensors.values())
