"""Models put together from layers: stacked, repeated, swapped, and two layers of one model merged."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from evomerge.errors import InputError
from evomerge.merging import Checkpoints, LiveModel, Merger, footprint, merge_to_folder, mergekit_config
from evomerge.recipe import Group, OutputLayer, ParameterGroups, Recipe
from tests.building import VOCABULARY, edit_json, rewrite
from tests.merging.conftest import Family, make_recipe

GROUPS = ParameterGroups(
    (Group("copied", layers=(99, 100), frozen=True), Group("doubled", layers=(99, 100)), Group("all"))
)
STACKED = (
    OutputLayer(((0, 0), (1, 0)), base=0),
    OutputLayer(((0, 1), (1, 1)), base=1),
    OutputLayer(((1, 0), (0, 1)), base=0, row=1),  # swapped, and another row
    OutputLayer(((0, 1), (1, 1)), base=1),  # the second one again
    OutputLayer(((1, 0),), row=0),  # a copy
)
# The kinds of names, fused and renamed weights, per-layer lists and places of the number of layers.
TYPES = ("llama", "qwen2", "gpt2", "gpt_neox", "mixtral", "gemma2", "gemma3", "bloom", "mamba", "llava")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()}


def stacked(one: Path, two: Path, base: Path | None, method: str = "task_arithmetic", **changes: Any) -> Recipe:
    """Five layers of two models with two layers each."""
    recipe = make_recipe(method, [one, two], base, groups=GROUPS)
    layers = STACKED if base is not None else tuple(replace(layer, base=None) for layer in STACKED)
    return replace(recipe, **{"layers": layers, **changes})


def in_layer(name: str, number: int) -> bool:
    return f"layers.{number}." in name


def test_by_hand(family: Callable[..., Family]) -> None:
    """Each tensor from the layers that the recipe names, with its row's coefficients in the order of the inputs."""
    base, one, two = family(dtype=torch.float32)
    recipe = stacked(one, two, base, out_dtype="float32")
    start, first, second = weights(base), weights(one), weights(two)
    merged = dict(Merger(Checkpoints.open(recipe)).stream(recipe))
    assert len({name.split(".")[2] for name in merged if "layers" in name}) == 5

    def arithmetic(name: str, models: list[torch.Tensor], from_base: torch.Tensor, row: int) -> None:
        delta = sum(w * (m - from_base) for w, m in zip(recipe.coefficients["weight"][row], models, strict=True))
        expected = from_base + recipe.coefficients["lambda"][row] * delta
        torch.testing.assert_close(merged[name].double(), expected.double(), atol=1e-6, rtol=1e-5)

    for part in ("self_attn.q_proj", "mlp.up_proj", "input_layernorm"):
        at = [f"model.layers.{number}.{part}.weight" for number in range(5)]
        arithmetic(at[0], [first[at[0]], second[at[0]]], start[at[0]], 2)
        arithmetic(at[1], [first[at[1]], second[at[1]]], start[at[1]], 2)
        arithmetic(at[2], [second[at[0]], first[at[1]]], start[at[0]], 1)
        assert torch.equal(merged[at[3]], merged[at[1]])
        assert torch.equal(merged[at[4]], second[at[0]])
    for name in ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"):
        arithmetic(name, [first[name], second[name]], start[name], 2)


@pytest.mark.parametrize("model_type", TYPES)
def test_installed_is_exported(family: Callable[..., Family], tmp_path: Path, model_type: str) -> None:
    """The folder loads in transformers as what was built and installed in memory, bit for bit, and answers alike."""
    base, one, two = family(model_type)
    recipe = stacked(one, two, base, "dare_ties")
    checkpoints = Checkpoints.open(recipe)
    merger = Merger(checkpoints)
    plain = LiveModel.load(base)
    plan = merger.plan(recipe)
    assert not plain.fits(plan)
    with pytest.raises(ValueError, match="other layers"):
        plain.install(merger, recipe)
    live = plain.rebuilt(plan)
    assert set(live.install(merger, recipe)) == live.names
    out = merge_to_folder(recipe, tmp_path / "out", checkpoints=checkpoints)
    loaded = type(live.model).from_pretrained(out, dtype=torch.float32)
    assert loaded.config.get_text_config().num_hidden_layers == 5
    ours, theirs = live.model.state_dict(), loaded.state_dict()
    assert ours.keys() == theirs.keys()
    assert [name for name in theirs if not torch.equal(ours[name], theirs[name])] == []
    assert [b for b, x in loaded.named_buffers() if not torch.equal(x, dict(live.model.named_buffers())[b])] == []
    inputs = torch.arange(4, 16).reshape(2, 6)
    with torch.no_grad():  # equal weights in memory of another alignment may be added up in another order
        torch.testing.assert_close(live.model(inputs).logits, loaded(inputs).logits, atol=1e-6, rtol=0.0)
    assert live.model.generation_config.to_dict() == loaded.generation_config.to_dict()
    assert LiveModel.load(out).checksum() == live.checksum()
    assert footprint(checkpoints, recipe, model_dtype="float32").live == sum(p.nbytes for p in live.model.parameters())
    back = live.rebuilt(merger.plan(make_recipe("linear", [one, two], base)))
    back.install(merger, make_recipe("linear", [one, two], base))


def test_one_model_alone(family: Callable[..., Family], tmp_path: Path) -> None:
    """Two layers of one model merged into one: a source may repeat."""
    _, one, _ = family(dtype=torch.float32)
    groups = ParameterGroups((Group("layers", layers=(0, 1)), Group("outside")))
    recipe = make_recipe("linear", [one, one], groups=groups, coefficients={"weight": [[1.0, 3.0], [1.0, 0.0]]})
    layers = (OutputLayer(((0, 0), (0, 1))),)
    recipe = replace(recipe, sources=recipe.sources[:1], layers=layers, out_dtype="float32")
    merged = weights(merge_to_folder(recipe, tmp_path / "out"))
    before = weights(one)
    assert {name for name in merged if ".layers." in name} == {name for name in before if ".layers.0." in name}
    for name, tensor in merged.items():
        if ".layers." in name:
            expected = 0.25 * before[name] + 0.75 * before[name.replace("layers.0", "layers.1")]
            torch.testing.assert_close(tensor, expected)
        else:
            assert torch.equal(tensor, before[name])
    assert transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").config.num_hidden_layers == 1


def test_masks_belong_to_the_inputs(family: Callable[..., Family]) -> None:
    """Both inputs of one source have masks of their own, and a repeated layer is the same layer."""
    base, one, _ = family(dtype=torch.float32)
    groups = ParameterGroups((Group("all"),))
    values = {"weight": [[1.0, 1.0]], "density": [[0.5, 0.5]], "lambda": [1.0]}
    recipe = make_recipe("dare_linear", [one, one], base, groups=groups, coefficients=values, out_dtype="float32")
    twice = OutputLayer(((0, 0), (0, 1)), base=0)
    recipe = replace(recipe, sources=recipe.sources[:1], layers=(twice, twice))
    merged = dict(Merger(Checkpoints.open(recipe)).stream(recipe))
    start = weights(base)
    for name in [name for name in merged if ".layers.0." in name and merged[name].ndim == 2]:
        assert torch.equal(merged[name], merged[name.replace("layers.0", "layers.1")])
        delta = merged[name] != start[name]
        kept = delta.double().mean()
        assert 0.6 < kept < 0.9, "of one half and one half, drawn apart, three quarters are kept"


def test_what_changed_is_merged(family: Callable[..., Family]) -> None:
    """An output layer is merged again where its row or its inputs change, and only there."""
    base, one, two = family()
    recipe = stacked(one, two, base)
    merger = Merger(Checkpoints.open(recipe))
    live = LiveModel.load(base).rebuilt(merger.plan(recipe))
    live.install(merger, recipe)
    values = {name: array.copy() for name, array in recipe.coefficients.items()}
    values["weight"][1] *= 0.5
    assert {name for name in live.names if in_layer(name, 2)} == set(
        live.install(merger, replace(recipe, coefficients=values))
    )
    swapped = replace(recipe, coefficients=values, layers=(*STACKED[:3], STACKED[0], STACKED[4]))
    assert {name for name in live.names if in_layer(name, 3)} == set(live.install(merger, swapped))


class TestConfig:
    """What a config says for each layer follows the layers."""

    def config(self, recipe: Recipe) -> dict[str, Any]:
        return dict(Merger(Checkpoints.open(recipe)).plan(recipe).outputs.config)

    def test_layer_types_follow(self, family: Callable[..., Family]) -> None:
        base, one, two = family("gemma2")
        assert json.loads((base / "config.json").read_text())["layer_types"] == ["sliding_attention", "full_attention"]
        types = self.config(stacked(one, two, base))["layer_types"]
        assert types == [["sliding_attention", "full_attention"][layer.inputs[0][1]] for layer in STACKED]

    def test_what_a_config_leaves_to_its_class_is_written_where_it_differs(
        self, family: Callable[..., Family], tmp_path: Path
    ) -> None:
        folders = []
        for number, folder in enumerate(family("gemma2")):
            folders.append(tmp_path / str(number))
            folders[-1].mkdir()
            for path in folder.iterdir():
                (folders[-1] / path.name).write_bytes(path.read_bytes())
            edit_json(folders[-1] / "config.json", layer_types=None)
        base, one, two = folders
        twice = tuple(OutputLayer(((0, layer), (1, layer)), base=layer) for layer in (0, 0, 1))
        types = self.config(stacked(one, two, base, layers=twice))["layer_types"]
        assert types == ["sliding_attention", "sliding_attention", "full_attention"]
        plain = [OutputLayer(((0, layer), (1, layer)), base=layer) for layer in (0, 1)]
        assert "layer_types" not in self.config(stacked(one, two, base, layers=tuple(plain)))

    def test_the_language_model_of_a_vision_language_model(self, family: Callable[..., Family]) -> None:
        base, one, two = family("llava")
        config = self.config(stacked(one, two, base))
        assert config["text_config"]["num_hidden_layers"] == 5
        assert config["vision_config"]["num_hidden_layers"] == 2
        assert config["text_config"]["vocab_size"] == VOCABULARY

    def test_a_plain_recipe_changes_nothing(self, family: Callable[..., Family]) -> None:
        base, one, two = family()
        recipe = make_recipe("linear", [one, two], base)
        plan = Merger(Checkpoints.open(recipe)).plan(recipe)
        assert plan.outputs.config == json.loads((base / "config.json").read_text())
        assert not plan.outputs.reshaped
        assert LiveModel.load(base).fits(plan)

    def test_place_that_no_list_says(self, family: Callable[..., Family], tmp_path: Path) -> None:
        base, one, two = family("gpt2", scale_attn_by_inverse_layer_idx=True)
        with pytest.raises(InputError, match="says scale_attn_by_inverse_layer_idx"):
            self.config(stacked(one, two, base))


class TestRefusals:
    """Everything that does not fit is told before the first tensor."""

    def problems(self, recipe: Recipe) -> str:
        with pytest.raises(InputError) as caught:
            Merger(Checkpoints.open(recipe)).plan(recipe)
        return str(caught.value)

    def test_layers_that_are_not_there(self, family: Callable[..., Family]) -> None:
        base, one, two = family()
        layers = (OutputLayer(((0, 7), (1, 0)), base=9), OutputLayer(((0, 0), (1, 2)), base=0))
        said = self.problems(stacked(one, two, base, layers=layers))
        assert "layers[0] names layer 7 of sources[0], which has 2 layers" in said
        assert "layers[0] names layer 9 of the base, which has 2 layers" in said
        assert "layers[1] names layer 2 of sources[1], which has 2 layers" in said

    def test_inputs_that_the_method_does_not_merge(self, family: Callable[..., Family]) -> None:
        base, one, two = family()
        layers = (OutputLayer(((0, 0),)), OutputLayer(((0, 1), (1, 1))))
        said = self.problems(stacked(one, two, None, "slerp", layers=layers))
        assert "method slerp merges 2 models; the recipe names 1, of tensor 'model.layers.0." in said
        assert "freeze its group to copy it" in said
        said = self.problems(stacked(one, two, base, layers=layers))
        assert "works on differences to a base" in said

    def test_proportions_of_the_inputs_that_a_layer_has(self, family: Callable[..., Family]) -> None:
        _, one, two = family()
        recipe = stacked(one, two, None, "linear", layers=(OutputLayer(((0, 0),)),))
        values = {"weight": np.array([[1.0, 1.0], [1.0, 1.0], [0.0, 1.0]])}
        said = self.problems(replace(recipe, coefficients=values))
        assert "coefficient 'weight' of group 'all' sums to zero or less over the first 1 inputs" in said

    def test_scale(self, family: Callable[..., Family]) -> None:
        _, one, two = family()
        layers = (OutputLayer(((0, 0), (1, 0)), scale=0.5),)
        assert "layers[0].scale is 0.5" in self.problems(stacked(one, two, None, "linear", layers=layers))

    def test_shapes_of_layers(self, family: Callable[..., Family], tmp_path: Path) -> None:
        """A model whose layers are not alike."""
        base, one, _ = family("mixtral")
        groups = ParameterGroups((Group("all"),))
        recipe = make_recipe("linear", [one, base], groups=groups)
        narrow = tmp_path / "narrow"
        narrow.mkdir()
        for path in one.iterdir():
            (narrow / path.name).write_bytes(path.read_bytes())
        rewrite(narrow, lambda t: t.pop("model.layers.1.block_sparse_moe.experts.2.w1.weight"))
        recipe = make_recipe("linear", [one, narrow], groups=groups)
        recipe = replace(recipe, layers=(OutputLayer(((0, 0), (1, 1))),))
        said = self.problems(recipe)
        assert "should hold 'model.layers.1.block_sparse_moe.experts.2.w1.weight' for" in said
        assert "but has no such tensor" in said

    def test_mergekit_has_no_counterpart(self, family: Callable[..., Family]) -> None:
        _, one, two = family()
        assert mergekit_config(stacked(one, two, None, "linear"), ("lm_head.weight",)) is None
