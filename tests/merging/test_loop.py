"""The one merge loop: names, values, rounding, ties, frozen groups, and what it refuses."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from evomerge.checkpoints import open_source
from evomerge.errors import InputError
from evomerge.merging import Checkpoints, Merger, NonFinite, PreparedSettings
from evomerge.recipe import CheckpointRef, Group, ParameterGroups, Recipe
from tests.building import rewrite
from tests.merging.conftest import Family, by_layer, make_recipe

METHODS = ("linear", "slerp", "task_arithmetic", "ties", "dare_linear", "dare_ties")


def streamed(recipe: Recipe, checkpoints: Checkpoints | None = None) -> dict[str, torch.Tensor]:
    return dict(Merger(checkpoints or Checkpoints.open(recipe)).stream(recipe))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()}


def row_of(name: str) -> int:
    return int(name.split(".")[2]) if "layers" in name else 2


def test_linear_by_hand(family: Callable[..., Family]) -> None:
    """Each tensor is its group's weighted average, computed in float32 and rounded once."""
    base, one, two = family()
    recipe = make_recipe("linear", [one, two], base)
    first, second = weights(one), weights(two)
    merged = streamed(recipe)
    assert merged.keys() == weights(base).keys()
    for name, tensor in merged.items():
        a, b = recipe.coefficients["weight"][row_of(name)]
        expected = (first[name].double() * a + second[name].double() * b) / (a + b)
        assert tensor.dtype == torch.bfloat16
        assert tensor.shape == first[name].shape
        # One rounding to bfloat16, of a value that float32 arithmetic may have moved across a midpoint.
        assert (tensor.double() - expected).abs().max() <= expected.abs().max() * 2**-8
        assert (tensor == expected.to(torch.bfloat16)).double().mean() > 0.99


def test_task_arithmetic_by_hand(family: Callable[..., Family]) -> None:
    base, one, two = family(dtype=torch.float32)
    recipe = make_recipe("task_arithmetic", [one, two], base, out_dtype="float32")
    start, first, second = weights(base), weights(one), weights(two)
    for name, tensor in streamed(recipe).items():
        row = row_of(name)
        a, b = recipe.coefficients["weight"][row]
        delta = (first[name] - start[name]).double() * a + (second[name] - start[name]).double() * b
        expected = start[name].double() + recipe.coefficients["lambda"][row] * delta
        torch.testing.assert_close(tensor.double(), expected, atol=1e-6, rtol=1e-5)


def test_a_single_model_is_copied_exactly(family: Callable[..., Family]) -> None:
    _, one, _ = family()
    recipe = make_recipe("linear", [one], groups=ParameterGroups((Group("all"),)), coefficients={"weight": [[1.0]]})
    expected = weights(one)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in streamed(recipe).items())


@pytest.mark.parametrize("method", METHODS)
def test_repeats_itself_and_leaves_sources_alone(family: Callable[..., Family], method: str) -> None:
    base, one, two = family()
    recipe = make_recipe(method, [one, two], None if method in ("linear", "slerp") else base)
    checkpoints = Checkpoints.open(recipe)
    merger = Merger(checkpoints)
    before = {ref: checkpoint.fingerprint() for ref, checkpoint in checkpoints.by_ref.items()}
    first = dict(merger.stream(recipe))
    other = replace(recipe, coefficients={name: values * 0.5 for name, values in recipe.coefficients.items()})
    list(merger.stream(other))
    again, fresh = dict(merger.stream(recipe)), streamed(recipe)
    assert all(torch.equal(first[name], again[name]) and torch.equal(first[name], fresh[name]) for name in first)
    assert {ref: checkpoint.fingerprint() for ref, checkpoint in checkpoints.by_ref.items()} == before


def test_prepared_state_follows_what_it_depends_on(family: Callable[..., Family]) -> None:
    """The same merger, asked for other seeds, options, models and dtypes in between, gives what a fresh one gives."""
    base, one, two = family(dtype=torch.float32)
    recipe = make_recipe("dare_linear", [one, two], base)
    checkpoints = Checkpoints.open(recipe)
    merger = Merger(checkpoints)
    variants = [
        recipe,
        make_recipe("dare_linear", [one, two], base, options={"rescale": "none"}),
        replace(recipe, sources=recipe.sources[::-1]),
        replace(recipe, dtype="float16"),
        make_recipe("ties", [one, two], base, options={"scope": "global"}),
        make_recipe("dare_linear", [one, two], base, seed=1),
        recipe,
    ]
    results = [dict(merger.stream(variant)) for variant in variants]
    for variant, result in zip(variants, results, strict=True):
        fresh = streamed(variant)
        assert all(torch.equal(result[name], fresh[name]) for name in fresh)
    for result in results[1:-1]:
        assert any(not torch.equal(result[name], results[0][name]) for name in result)


def test_masks_belong_to_the_expert_wherever_it_lies(family: Callable[..., Family], tmp_path: Path) -> None:
    base, one, two = family()
    moved = Path(shutil.copytree(one, tmp_path / "moved"))
    prints = {path: open_source(path).fingerprint() for path in (base, one, two, moved)}

    def named(first: Path) -> Recipe:
        recipe = make_recipe("dare_linear", [first, two], base)
        models = tuple(replace(ref, fingerprint=prints[Path(ref.source)]) for ref in recipe.sources)
        return replace(recipe, sources=models, base=CheckpointRef(str(base), fingerprint=prints[base]))

    here, there = streamed(named(one)), streamed(named(moved))
    assert all(torch.equal(here[name], there[name]) for name in here)


@pytest.mark.parametrize("method", METHODS)
def test_frozen_groups_are_the_reference(family: Callable[..., Family], method: str) -> None:
    base, one, two = family()
    first, *others = by_layer().groups
    groups = ParameterGroups((replace(first, frozen=True), *others))
    reference = None if method == "slerp" else base
    merged = streamed(make_recipe(method, [one, two], reference, groups=groups))
    expected = weights(one if reference is None else base)
    for name, tensor in merged.items():
        assert torch.equal(tensor, expected[name]) == (row_of(name) == 0)


def test_inputs_are_rounded_to_the_recipes_dtype(family: Callable[..., Family]) -> None:
    _, one, _ = family(dtype=torch.float32)
    groups = ParameterGroups((Group("all"),))
    recipe = make_recipe("linear", [one], groups=groups, coefficients={"weight": [[1.0]]}, out_dtype="float32")
    expected = weights(one)
    for name, tensor in streamed(replace(recipe, dtype="bfloat16")).items():
        assert torch.equal(tensor, expected[name].bfloat16().float())
    assert all(torch.equal(tensor, expected[name]) for name, tensor in streamed(recipe).items())


def test_types_of_experts_may_differ(family: Callable[..., Family]) -> None:
    """bfloat16 and float16 are widened exactly, so a float32 copy of an expert merges to the same."""
    base, one, two = family()
    recipe = make_recipe("task_arithmetic", [one, two], base)
    expected = streamed(recipe)
    widened = two.parent / "wide"
    shutil.copytree(two, widened, dirs_exist_ok=True)
    rewrite(widened, lambda tensors: tensors.update({name: tensor.float() for name, tensor in tensors.items()}))
    found = streamed(make_recipe("task_arithmetic", [one, widened], base))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


class TestTies:
    """A head that repeats the embeddings is merged once and given in the form that the reference stores."""

    def storing(self, folder: Path, out: Path) -> Path:
        shutil.copytree(folder, out)
        head = "model.embed_tokens.weight"
        rewrite(out, lambda tensors: tensors.update({"lm_head.weight": tensors[head].clone()}))
        return out

    def test_absent_in_the_reference(self, family: Callable[..., Family], tmp_path: Path) -> None:
        base, one, two = family("llama", tie_word_embeddings=True)
        expected = streamed(make_recipe("task_arithmetic", [one, two], base))
        assert "lm_head.weight" not in expected
        mixed = streamed(make_recipe("task_arithmetic", [self.storing(one, tmp_path / "one"), two], base))
        assert mixed.keys() == expected.keys()
        assert all(torch.equal(mixed[name], expected[name]) for name in expected)

    def test_repeated_in_the_reference(self, family: Callable[..., Family], tmp_path: Path) -> None:
        base, one, two = family("llama", tie_word_embeddings=True)
        expected = streamed(make_recipe("task_arithmetic", [one, two], base))
        groups = ParameterGroups((Group("head", kinds=("head",)), *by_layer().groups))
        stored = self.storing(base, tmp_path / "base")
        recipe = make_recipe("task_arithmetic", [one, two], stored, groups=groups)
        assert "lm_head.weight" not in Checkpoints.open(recipe).merged_names
        merged = streamed(recipe)
        assert merged.keys() == expected.keys() | {"lm_head.weight"}
        assert torch.equal(merged["lm_head.weight"], merged["model.embed_tokens.weight"])


def test_what_is_no_weight_is_copied(family: Callable[..., Family], tmp_path: Path) -> None:
    """Integers, and tables that models compute by themselves, come from the reference as they are."""
    base, one, two = family()
    extended = Path(shutil.copytree(base, tmp_path / "base"))
    table = "model.layers.0.self_attn.rotary_emb.inv_freq"
    extra = {table: torch.rand(4), "model.steps": torch.tensor([7])}
    rewrite(extended, lambda tensors: tensors.update({name: tensor.clone() for name, tensor in extra.items()}))
    recipe = make_recipe("task_arithmetic", [one, two], extended)
    merger = Merger(Checkpoints.open(recipe))
    merged = dict(merger.stream(recipe))
    for name, tensor in extra.items():
        assert torch.equal(merged[name], tensor)
        assert merged[name].dtype == tensor.dtype
        assert name not in merger.checkpoints.merged_names
    specs = merger.plan(recipe).specs
    assert {name: (spec.dtype, spec.shape) for name, spec in specs.items()} == {
        name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in merged.items()
    }
    assert list(specs) == list(merged)


class TestNonFinite:
    """A merge that leaves the numbers is an error with the tensor's name, not a model."""

    def test_infinity_in_an_expert(self, family: Callable[..., Family], tmp_path: Path) -> None:
        base, one, two = family()
        broken = Path(shutil.copytree(two, tmp_path / "two"))
        rewrite(broken, lambda tensors: tensors["model.layers.1.mlp.up_proj.weight"].fill_(float("inf")))
        with pytest.raises(NonFinite, match=r"model\.layers\.1\.mlp\.up_proj\.weight") as caught:
            streamed(make_recipe("task_arithmetic", [one, broken], base))
        assert caught.value.name == "model.layers.1.mlp.up_proj.weight"

    def test_overflow_of_the_output_type(self, family: Callable[..., Family]) -> None:
        base, one, two = family()
        huge = {"weight": np.full((3, 2), 1e7), "lambda": np.ones(3)}
        recipe = make_recipe("task_arithmetic", [one, two], base, coefficients=huge, out_dtype="float16")
        with pytest.raises(NonFinite, match="float16"):
            streamed(recipe)
        streamed(replace(recipe, out_dtype="bfloat16"))


class TestRefusals:
    """Nothing is merged before everything fits."""

    def test_all_problems_of_a_recipe(self, family: Callable[..., Family]) -> None:
        base, one, two = family()
        recipe = replace(make_recipe("ties", [one, two], base), base=None)
        groups = ParameterGroups((Group("layers", layers=(0, 9)),))
        recipe = replace(recipe, groups=groups, coefficients={"weight": np.ones((1, 2))})
        with pytest.raises(InputError) as caught:
            next(Merger(Checkpoints.open(recipe)).stream(recipe))
        message = str(caught.value)
        assert "names none; set base" in message
        assert "no values for coefficient 'density'" in message
        assert "'lm_head.weight'" in message
        assert "belongs to no group" in message

    def test_a_checkpoint_that_was_not_opened(self, family: Callable[..., Family]) -> None:
        base, one, two = family()
        checkpoints = Checkpoints.open(make_recipe("linear", [one], base))
        with pytest.raises(InputError, match="none of the opened checkpoints"):
            list(Merger(checkpoints).stream(make_recipe("linear", [one, two], base)))

    def test_all_checkpoints_that_cannot_be_found(self, tmp_path: Path) -> None:
        recipe = make_recipe("linear", [tmp_path / "a", tmp_path / "b"], tmp_path / "c")
        with pytest.raises(InputError) as caught:
            Checkpoints.open(recipe)
        assert len(caught.value.problems) == 3


def inputs_of(merger: Merger) -> dict[str, Any]:
    return list(merger._commons.values())[-1].inputs


def test_inputs_are_looked_up_once_and_kept_only_where_that_takes_no_memory(
    family: Callable[..., Family], tmp_path: Path
) -> None:
    base, one, two = family()
    recipe = make_recipe("ties", [one, two], base)
    checkpoints = Checkpoints.open(recipe)
    merger = Merger(checkpoints)
    first = dict(merger.stream(recipe))
    kept = dict(inputs_of(merger))
    assert set(kept) == set(checkpoints.merged_names)
    again = dict(merger.stream(recipe))
    assert all(inputs_of(merger)[name] is inputs for name, inputs in kept.items())
    assert all(torch.equal(first[name], again[name]) for name in first)
    other_seed = replace(recipe, seed=recipe.seed + 1)
    list(merger.stream(other_seed))
    assert all(inputs_of(merger)[name] is not inputs for name, inputs in kept.items())
    # Copies that are rounded, and arrays that there is no room for, would fill the memory.
    no_room = Merger(checkpoints, prepared=PreparedSettings(disk=0, memory=0))
    list(no_room.stream(recipe))
    assert not inputs_of(no_room)
    base, one, two = family("llama", torch.float32)
    rounded = make_recipe("task_arithmetic", [one, two], base, dtype="bfloat16")
    merger = Merger(Checkpoints.open(rounded))
    list(merger.stream(rounded))
    assert not inputs_of(merger)
    # Tensors that do not lie where their type can be read are copies, too.
    base, one, two = (shutil.copytree(folder, tmp_path / folder.name) for folder in (base, one, two))
    for folder in (base, one, two):
        file = folder / "model.safetensors"
        data = file.read_bytes()
        length = int.from_bytes(data[:8], "little")
        file.write_bytes((length + 1).to_bytes(8, "little") + data[8 : 8 + length] + b" " + data[8 + length :])
    shifted = make_recipe("task_arithmetic", [one, two], base)
    merger = Merger(Checkpoints.open(shifted))
    list(merger.stream(shifted))
    assert not inputs_of(merger)


@pytest.mark.parametrize("method", ["dare_ties", "ties"])
def test_streams_that_are_open_at_the_same_time(family: Callable[..., Family], method: str) -> None:
    base, one, two = family()
    first = make_recipe(method, [one, two], base)
    second = replace(make_recipe(method, [two, one], base), seed=first.seed + 1)
    checkpoints = Checkpoints.open(first)
    wanted = [dict(Merger(checkpoints).stream(recipe)) for recipe in (first, second)]
    merger = Merger(checkpoints)
    for (name, left), (other, right) in zip(merger.stream(first), merger.stream(second), strict=True):
        assert name == other
        assert torch.equal(left, wanted[0][name])
        assert torch.equal(right, wanted[1][name])
