"""Embeddings of vocabularies that differ: each row of the merged model against one computed by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file

from evomerge.merging import Checkpoints, LiveModel, Merger, footprint, matching_of, merge_to_folder
from evomerge.recipe import Recipe
from tests.building import edit_json, perturbed, rewrite, tiny, tiny_tokenizer
from tests.merging.conftest import make_recipe

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def resized(source: Path, folder: Path, rows: int, *extra: str, seed: int = 0) -> Path:
    """An expert whose vocabulary has that many rows, with tokens of its own behind the first 259."""
    perturbed(source, folder, seed)

    def change(tensors: dict[str, torch.Tensor]) -> None:
        for name in {EMBEDDING, HEAD} & tensors.keys():
            more = torch.full((max(0, rows - len(tensors[name])), 16), float(seed + 1)).to(tensors[name].dtype)
            tensors[name] = torch.cat([tensors[name][:rows], more])

    rewrite(folder, change)
    edit_json(folder / "config.json", vocab_size=rows)
    tiny_tokenizer(folder, extra=extra)
    return folder


def shortened(source: Path, folder: Path) -> Path:
    """The same model with the first 259 rows alone."""
    shutil.copytree(source, folder)
    rewrite(folder, lambda tensors: tensors.update({name: tensors[name][:259].clone() for name in (EMBEDDING, HEAD)}))
    edit_json(folder / "config.json", vocab_size=259)
    tiny_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """259 tokens, and rows for five more."""
    folder = tmp_path_factory.mktemp("vocabularies")
    return resized(tiny("llama", folder / "plain", 0), folder / "base", 264, seed=1)


def merged(recipe: Recipe, out: Path) -> dict[str, torch.Tensor]:
    """The model as it is on disk, which must be the one in memory, and load with its tokenizer."""
    checkpoints = Checkpoints.open(recipe)
    assert checkpoints.compare(matching=matching_of(recipe)).problems == ()
    tensors = load_file(merge_to_folder(recipe, out) / "model.safetensors")
    live, merger = LiveModel.load(checkpoints.reference.path), Merger(checkpoints)
    if not live.fits(merger.plan(recipe)):
        live = live.rebuilt(merger.plan(recipe))
    for again in (recipe, recipe):
        live.install(merger, again)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(out)
    assert {name: str(value) for name, value in live.model.state_dict().items()} == {
        name: str(value) for name, value in loaded.state_dict().items()
    }
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, live.model.state_dict()[name]), name
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    config = json.loads((out / "config.json").read_text())
    assert max(tokenizer.get_vocab().values()) < config["vocab_size"] == len(tensors[EMBEDDING])
    assert loaded(torch.tensor([tokenizer("ab").input_ids])).logits.shape[-1] == config["vocab_size"]
    return tensors


@pytest.mark.parametrize("method", ["linear", "ties", "dare_ties"])
def test_common_rows_are_merged_and_the_rest_are_the_bases(base: Path, tmp_path: Path, method: str) -> None:
    """Of experts without padding, and with more of it and a token of their own."""
    short = resized(base, tmp_path / "short", 259, seed=2)
    long = resized(base, tmp_path / "long", 272, "<tool>", seed=3)
    found = merged(make_recipe(method, [short, long], base, out_dtype="float32"), tmp_path / "out")
    own = load_file(base / "model.safetensors")
    cut = [shortened(folder, tmp_path / f"cut {folder.name}") for folder in (short, long, base)]
    never = merged(make_recipe(method, cut[:2], cut[2], out_dtype="float32"), tmp_path / "never")
    for name in (EMBEDDING, HEAD):
        assert len(found[name]) == 264
        assert torch.equal(found[name][:259], never[name]), name
        assert torch.equal(found[name][259:], own[name][259:]), name
    if method == "linear":
        weights = make_recipe(method, [short, long], base).coefficients["weight"][-1]
        rows = [load_file(folder / "model.safetensors")[HEAD][:259] for folder in (short, long)]
        expected = (weights[0] * rows[0] + weights[1] * rows[1]) / weights.sum()
        torch.testing.assert_close(found[HEAD][:259], expected.float(), rtol=1e-6, atol=1e-7)


def test_memory_of_padded_embeddings_is_that_of_equal_ones(base: Path, tmp_path: Path) -> None:
    """Rows of mapped files are read in place."""
    short = resized(base, tmp_path / "short", 259, seed=2)
    same = resized(base, tmp_path / "same", 264, seed=2)
    needs = []
    for expert in (short, same):
        recipe = make_recipe("linear", [expert, base], base)
        needs.append(footprint(Checkpoints.open(recipe), recipe))
    assert needs[0].working == needs[1].working
    assert needs[0].live == needs[1].live
