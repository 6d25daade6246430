"""Paths through the layers of several models: installed, exported and loaded to the last bit, scales included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers

from evomerge.genome.layers.path import LayerPath, Step, path_of, recipe_of, writers_of
from evomerge.merging import Checkpoints, LiveModel, Merger, merge_to_folder
from evomerge.recipe import CheckpointRef, Group, ParameterGroups, Recipe
from tests.merging.conftest import Family

# Layers 0, 1 of the first model, 1 again, then 0 and 1 of the second, whose embeddings and head the model has.
STEPS = (Step(0, 0), Step(0, 1), Step(0, 1, 1.25), Step(1, 0, 0.8), Step(1, 1))


def like(folder: Path, out_dtype: str) -> Recipe:
    groups = ParameterGroups((Group("all"),))
    return Recipe("linear", {}, (CheckpointRef(str(folder)),), None, groups, {"weight": [[1.0]]}, out_dtype=out_dtype)


def path_recipe(
    family: Family, steps: tuple[Step, ...] = STEPS, outside: int = 1, out_dtype: str = "bfloat16"
) -> tuple[Recipe, Checkpoints]:
    """The recipe of a path through the two experts, and all that it is merged from."""
    _, one, two = family
    sources = (CheckpointRef(str(one)), CheckpointRef(str(two)))
    plain = like(one, out_dtype)
    names = Checkpoints.open(plain).merged_names
    writers = writers_of(names, plain.groups.layer_pattern)
    recipe = recipe_of(LayerPath(steps, outside), sources, plain, writers)
    assert path_of(recipe, sources, writers).outside == outside
    return recipe, Checkpoints.open(recipe)


@pytest.mark.parametrize(("kind", "tied"), [("llama", True), ("gpt2", True), ("qwen3_moe", False), ("mamba", True)])
def test_what_is_installed_is_exported_and_loaded(
    family: Callable[..., Family], tmp_path: Path, kind: str, tied: bool
) -> None:
    own = family(kind, tie_word_embeddings=tied)
    recipe, checkpoints = path_recipe(own)
    merger = Merger(checkpoints)
    live = LiveModel.load(checkpoints.reference.path).rebuilt(merger.plan(recipe))
    live.install(merger, recipe)
    out = merge_to_folder(recipe, tmp_path / "out", merger=merger)
    loaded = LiveModel.load(out)
    assert loaded.checksum() == live.checksum()
    plain = transformers.AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    assert plain.config.num_hidden_layers == len(STEPS)
    assert (plain.get_output_embeddings().weight is plain.get_input_embeddings().weight) == tied
    tokens = torch.tensor([[5, 9, 17, 30]])
    torch.testing.assert_close(plain(tokens).logits, live.model(tokens).logits, rtol=0, atol=0)
    texts = [plain.generate(tokens, do_sample=False, max_new_tokens=6, use_cache=cache) for cache in (True, False)]
    assert torch.equal(*texts)  # each of the repeated layers has a cache of its own
    two = transformers.AutoModelForCausalLM.from_pretrained(own[2], dtype=torch.float32)
    assert torch.equal(plain.get_input_embeddings().weight, two.get_input_embeddings().weight)


def test_scaled_weights_do_what_scaled_hidden_states_do(family: Callable[..., Family]) -> None:
    """The path as the paper has it: two models' own layers run one after the other, the state scaled in between."""
    own = family(dtype=torch.float32)
    recipe, checkpoints = path_recipe(own, out_dtype="float32")
    merger = Merger(checkpoints)
    live = LiveModel.load(checkpoints.reference.path).rebuilt(merger.plan(recipe))
    live.install(merger, recipe)
    tokens = torch.tensor([[5, 9, 17, 30, 12]])
    models = [transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32) for folder in own[1:]]
    with torch.no_grad():
        state = models[1].model.embed_tokens(tokens)
        turned = models[1].model.rotary_emb(state, torch.arange(tokens.shape[1])[None])
        mask = torch.full((tokens.shape[1],) * 2, float("-inf")).triu(1)[None, None]
        for step in STEPS:
            layer = models[step.source].model.layers[step.layer]
            state = layer(state * step.scale, attention_mask=mask, position_embeddings=turned)
        wanted = models[1].lm_head(models[1].model.norm(state))
        found = live.model(tokens).logits
    unscaled, _ = path_recipe(own, tuple(Step(step.source, step.layer) for step in STEPS), out_dtype="float32")
    live.install(merger, unscaled)
    without = (live.model(tokens).logits - wanted).abs().max()
    assert (found - wanted).abs().max() < 0.01 * without  # which the constant in the norms makes
