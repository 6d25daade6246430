"""Models that a method which merges several gets alone are copied, as mergekit copies them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from evomerge import merge
from tests.building import perturbed, tiny, tiny_tokenizer

ONE = "merge_method: karcher\nmodels: [{model: a}]\n"
ALONE = """
merge_method: slerp
base_model: a
slices:
  - sources: [{model: a, layer_range: [0, 1]}]
  - sources: [{model: b, layer_range: [1, 2]}]
parameters: {t: 0.5}
"""
# The base gives the config, and what is copied is of others.
SOME = """
merge_method: karcher
base_model: base
slices:
  - sources: [{model: a, layer_range: [0, 1]}, {model: b, layer_range: [0, 1]}]
  - sources: [{model: b, layer_range: [0, 1]}]
"""
# mlp has another option than the rest, so there are two recipes, and each needs the tokenizer.
TWO = """
merge_method: ties
base_model: base
models:
  - {model: a, parameters: {weight: 1, density: 1}}
  - {model: more, parameters: {weight: 0, density: 1}}
parameters: {normalize: [{filter: mlp, value: true}, {value: false}]}
tokenizer_source: more
dtype: bfloat16
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    base = tiny("llama", folder / "base", 0)
    for seed, name in enumerate(("a", "b", "more"), 1):
        perturbed(base, folder / name, seed)
    tiny_tokenizer(folder / "more", extra=("new",))
    return folder


def test_what_is_alone_is_copied(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(models)
    stored = {path.name: load_file(path / "model.safetensors") for path in models.iterdir()}

    def merged(name: str, text: str) -> dict[str, torch.Tensor]:
        recipe = tmp_path / f"{name}.yml"
        recipe.write_text(text, encoding="utf-8")
        return load_file(merge(recipe, tmp_path / name) / "model.safetensors")

    one = merged("one", ONE)
    assert all(torch.equal(one[name], tensor) for name, tensor in stored["a"].items())
    layer, head = "model.layers.{}.mlp.up_proj.weight", "lm_head.weight"
    alone = merged("alone", ALONE)
    assert torch.equal(alone[layer.format(0)], stored["a"][layer.format(0)])
    assert torch.equal(alone[layer.format(1)], stored["b"][layer.format(1)])
    assert torch.equal(alone[head], stored["b"][head])
    some = merged("some", SOME)
    assert torch.equal(some[layer.format(1)], stored["b"][layer.format(0)])
    assert torch.equal(some[head], stored["b"][head])
    assert not torch.equal(some[layer.format(0)], stored["a"][layer.format(0)])
    two = merged("two", TWO)
    assert two[head].shape == (260, 16)
    # All but the new row is the only expert with a weight; its type is one that means are rounded to.
    assert torch.equal(two[head][:259], stored["a"][head].bfloat16())
    assert two[head].dtype == torch.bfloat16
