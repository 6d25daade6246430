"""Output tensors: stacked, repeated, swapped layers, two layers of one model, and everything that does not fit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from evomerge.errors import InputError
from evomerge.merging import Checkpoints, Merger, merge_to_folder
from evomerge.recipe import Ends, Group, OutputLayer, ParameterGroups, Recipe
from tests.building import rewrite, tiny
from tests.merging.conftest import Family, make_recipe
from tests.merging.stacks import GROUPS, stacked, weights


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


def test_models_of_different_depths(tmp_path: Path) -> None:
    """Layers are taken one by one, so their number may differ; without layers of its own a recipe is refused."""
    for name, depth in (("deep", 3), ("shallow", 2)):
        tiny("llama", tmp_path / name, depth, num_hidden_layers=depth)
    recipe = make_recipe("linear", [tmp_path / "shallow", tmp_path / "deep"], groups=ParameterGroups((Group("all"),)))
    stacked = replace(recipe, layers=tuple(OutputLayer(((0, min(at, 1)), (1, at))) for at in (0, 1, 2)))
    out = merge_to_folder(stacked, tmp_path / "out")
    merged, deep = weights(out), weights(tmp_path / "deep")
    assert merged.keys() == deep.keys()
    assert not torch.equal(merged["model.layers.2.mlp.up_proj.weight"], deep["model.layers.2.mlp.up_proj.weight"])
    assert transformers.AutoModelForCausalLM.from_pretrained(out).config.num_hidden_layers == 3
    with pytest.raises(InputError, match="it has 3 layers, the reference has 2"):
        merge_to_folder(recipe, tmp_path / "plain")


def test_ends_say_whose_the_tensors_around_the_layers_are(family: Callable[..., Family]) -> None:
    """Embeddings from one model, norm and head from the other; the k-th source there has the k-th column."""
    for kind, before, after in (
        ("llama", ["model.embed_tokens.weight"], ["model.norm.weight", "lm_head.weight"]),
        ("gpt2", ["transformer.wte.weight", "transformer.wpe.weight"], ["transformer.ln_f.bias"]),
        ("bloom", ["transformer.word_embeddings_layernorm.weight"], ["transformer.ln_f.weight"]),
    ):
        _, one, two = family(kind, dtype=torch.float32)
        groups, values = ParameterGroups((Group("all"),)), {"weight": [[1.0, 1.0]]}
        recipe = make_recipe("linear", [one, two], groups=groups, coefficients=values, out_dtype="float32")
        stack = replace(recipe, layers=(OutputLayer(((0, 0),)), OutputLayer(((1, 1),))), ends=Ends((0,), (1,)))
        merged = dict(Merger(Checkpoints.open(stack)).stream(stack))
        assert all(torch.equal(merged[name], weights(one)[name]) for name in before)
        assert all(torch.equal(merged[name], weights(two)[name]) for name in after)
        swapped = replace(stack, coefficients={"weight": [[0.75, 0.25]]}, ends=Ends((1, 0), (0,)))
        merged = dict(Merger(Checkpoints.open(swapped)).stream(swapped))
        expected = 0.75 * weights(two)[before[0]] + 0.25 * weights(one)[before[0]]
        torch.testing.assert_close(merged[before[0]], expected)
    with pytest.raises(InputError, match=r"ends says .* but the recipe has no layers") as caught:
        replace(recipe, ends=Ends((), (2,)))
    assert len(caught.value.problems) == 3


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
        assert "method slerp merges 2 models; for tensor 'model.layers.0." in said
        assert "the recipe names 1 (to copy the tensor, freeze its group)" in said
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

    def test_inputs_that_hold_more_than_the_first(self, family: Callable[..., Family], tmp_path: Path) -> None:
        """Their surplus would have no place in the output; tables that models compute have none anyway."""
        base, one, _ = family()
        more = Path(shutil.copytree(one, tmp_path / "more"))
        for name in ("self_attn.q_norm.weight", "self_attn.rotary_emb.inv_freq"):
            rewrite(more, lambda tensors, name=name: tensors.update({f"model.layers.1.{name}": torch.ones(4)}))
        recipe = make_recipe("linear", [one, more], base, groups=ParameterGroups((Group("all"),)))
        layers = (OutputLayer(((0, 0), (1, 0)), base=0), OutputLayer(((0, 0), (1, 1)), base=0))
        said = self.problems(replace(recipe, layers=layers))
        assert said == (
            "layers[1]: sources[1] has 'model.layers.1.self_attn.q_norm.weight', for which there is nothing in layer 0 "
            "of sources[0]"
        )

    def test_many_tensors_without_a_group(self, family: Callable[..., Family]) -> None:
        base, one, two = family()
        recipe = make_recipe("linear", [one, two], base, groups=ParameterGroups((Group("first", layers=(0, 1)),)))
        said = self.problems(recipe).split("\n")
        assert len(said) == 4
        assert "belongs to no group" in said[0]
        assert said[3].endswith("more tensors belong to no group either")

    @pytest.mark.parametrize("pattern", [r"layers\.(?:(\d)x)?", r"(model\.)"])
    def test_layers_without_a_number(self, family: Callable[..., Family], pattern: str) -> None:
        _, one, two = family()
        recipe = stacked(one, two, None, "linear")
        groups = replace(recipe.groups, layer_pattern=pattern)
        with pytest.raises(InputError, match=r"layer_pattern .*; expected a whole number"):
            Merger(Checkpoints.open(recipe)).plan(replace(recipe, groups=groups))

    @pytest.mark.parametrize("method", ["ties", "pcb"])
    def test_a_whole_model_of_layers_with_different_numbers_of_inputs(
        self, family: Callable[..., Family], method: str
    ) -> None:
        base, one, two = family()
        recipe = make_recipe(method, [one, two], base, groups=GROUPS, options={"scope": "global"})
        even = replace(recipe, layers=(OutputLayer(((0, 1), (1, 0)), base=0),))
        assert len(list(Merger(Checkpoints.open(even)).stream(even))) > 5
        uneven = replace(recipe, layers=(*even.layers, OutputLayer(((0, 0),), base=0)))
        with pytest.raises(
            InputError, match=r"scope is 'global', .* tensors of 1 and 2 inputs; set method option scope"
        ):
            next(Merger(Checkpoints.open(uneven)).stream(uneven))
