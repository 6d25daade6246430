"""What is installed into the live model is, bit for bit, what the exported folder loads as."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from evomerge.errors import InputError
from evomerge.merging import Checkpoints, LiveModel, Merger, footprint, merge_to_folder
from evomerge.recipe import Group, ParameterGroups
from tests.building import MODEL_TYPES, VOCABULARY, edit_json, rewrite
from tests.merging.conftest import Family, make_recipe
from tests.merging.stacks import TYPES, stacked

CASES = [(model_type, {}) for model_type in MODEL_TYPES] + [("llama", {"tie_word_embeddings": True})]


def pointers(model: transformers.PreTrainedModel) -> dict[str, int]:
    return {name: tensor.data_ptr() for name, tensor in model.state_dict().items()}


def assert_same(live: LiveModel, folder: Path, dtype: torch.dtype = torch.float32) -> None:
    loaded = type(live.model).from_pretrained(folder, dtype=dtype).state_dict()
    installed = live.model.state_dict()
    assert installed.keys() == loaded.keys()
    assert [name for name in loaded if not torch.equal(installed[name], loaded[name])] == []


@pytest.mark.parametrize(("model_type", "changes"), CASES, ids=[f"{t}{'-tied' if c else ''}" for t, c in CASES])
def test_installed_is_exported(
    family: Callable[..., Family], tmp_path: Path, model_type: str, changes: dict[str, Any]
) -> None:
    """Plain, tied, transposed, renamed, prefixed, fused and stacked weights all arrive where transformers puts them."""
    base, one, two = family(model_type, **changes)
    live = LiveModel.load(base)
    assert_same(live, base)
    storage = pointers(live.model)
    recipe = make_recipe("dare_ties", [one, two], base)
    checkpoints = Checkpoints.open(recipe)
    merger = Merger(checkpoints)
    live.install(merger, make_recipe("linear", [one, two], base))
    live.install(merger, recipe)
    assert pointers(live.model) == storage
    assert_same(live, merge_to_folder(recipe, tmp_path / "out", merger=Merger(checkpoints)))


@pytest.mark.parametrize("model_type", TYPES)
def test_a_model_of_other_layers_is_built(family: Callable[..., Family], tmp_path: Path, model_type: str) -> None:
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
    assert set(live.install(merger, recipe)) == live.places.keys()
    out = merge_to_folder(recipe, tmp_path / "out", merger=Merger(checkpoints))
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


def test_the_cases_cover_what_transformers_changes(family: Callable[..., Family]) -> None:
    """If transformers stops renaming or fusing these, other architectures must take their place."""
    for model_type, disk, memory in (
        ("mixtral", "model.layers.0.block_sparse_moe.experts.0.w1.weight", "model.layers.0.mlp.experts.gate_up_proj"),
        ("gpt_neox", "embed_out.weight", "lm_head.weight"),
        ("llava", "language_model.model.embed_tokens.weight", "model.language_model.embed_tokens.weight"),
    ):
        live = LiveModel.load(family(model_type)[0])
        assert disk in live.places
        assert disk not in live.model.state_dict()
        assert memory in live.model.state_dict()


@pytest.mark.parametrize("computing", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("out_dtype", ["float32", "bfloat16", "float16"])
def test_whatever_it_computes_in(
    family: Callable[..., Family], tmp_path: Path, computing: torch.dtype, out_dtype: str
) -> None:
    """Values are rounded to the output type first, whatever the model computes in."""
    base, one, two = family("llama", torch.float32)
    recipe = make_recipe("task_arithmetic", [one, two], base, out_dtype=out_dtype)
    live = LiveModel.load(base, dtype=computing)
    live.install(Merger(Checkpoints.open(recipe)), recipe)
    assert_same(live, merge_to_folder(recipe, tmp_path / "out"), computing)
    if out_dtype == "bfloat16":
        weights = live.model.state_dict()["model.layers.0.mlp.up_proj.weight"]
        assert torch.equal(weights, weights.bfloat16().to(computing))


def test_ties_hold_and_logits_follow(family: Callable[..., Family], tmp_path: Path) -> None:
    base, one, two = family("llama", tie_word_embeddings=True)
    live = LiveModel.load(base)
    inputs = torch.arange(12).reshape(2, 6)
    before = live.model(inputs).logits
    recipe = make_recipe("linear", [one, two], base)
    live.install(Merger(Checkpoints.open(recipe)), recipe)
    model = live.model
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    loaded = type(model).from_pretrained(merge_to_folder(recipe, tmp_path / "out"), dtype=torch.float32)
    assert torch.equal(model(inputs).logits, loaded(inputs).logits)
    assert not torch.equal(model(inputs).logits, before)


@pytest.mark.parametrize("model_type", ["llama", "mixtral"])
def test_baselines_share_the_live_model(family: Callable[..., Family], model_type: str) -> None:
    """Base and experts, as recipes of one model each, become exactly what transformers loads from their folders."""
    folders = family(model_type)
    base, *experts = folders
    checkpoints = Checkpoints.open(make_recipe("linear", experts, base))
    live, merger = LiveModel.load(base), Merger(checkpoints)
    groups = ParameterGroups((Group("all"),))
    for folder in (*experts, base):
        live.install(merger, make_recipe("linear", [folder], groups=groups, coefficients={"weight": [[1.0]]}))
        assert_same(live, folder)


def test_repeated_head_round_trips(family: Callable[..., Family], tmp_path: Path) -> None:
    """A tied reference that stores its head a second time gives a folder that does, too, and is still tied."""
    base, one, two = family("llama", tie_word_embeddings=True)
    stored = Path(shutil.copytree(base, tmp_path / "base"))
    embeddings = "model.embed_tokens.weight"
    rewrite(stored, lambda tensors: tensors.update({"lm_head.weight": tensors[embeddings].clone()}))
    recipe = make_recipe("task_arithmetic", [one, two], stored)
    live = LiveModel.load(stored)
    live.install(Merger(Checkpoints.open(recipe)), recipe)
    out = merge_to_folder(recipe, tmp_path / "out")
    assert_same(live, out)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(out)
    assert loaded.lm_head.weight.data_ptr() == loaded.model.embed_tokens.weight.data_ptr()


def test_older_files_with_computed_tables(family: Callable[..., Family], tmp_path: Path) -> None:
    base, one, two = family()
    old = Path(shutil.copytree(base, tmp_path / "base"))
    table = "model.layers.0.self_attn.rotary_emb.inv_freq"
    rewrite(old, lambda tensors: tensors.update({table: torch.rand(4)}))
    live = LiveModel.load(old)
    assert table not in live.places
    recipe = make_recipe("task_arithmetic", [one, two], old)
    live.install(Merger(Checkpoints.open(recipe)), recipe)
    assert_same(live, merge_to_folder(recipe, tmp_path / "out"))


def test_checksum_tells_candidates_apart(family: Callable[..., Family]) -> None:
    base, one, two = family()
    live = LiveModel.load(base)
    start = live.checksum()
    recipes = [make_recipe("linear", models, base) for models in ([one, two], [two, one])]
    merger = Merger(Checkpoints.open(recipes[0]))
    sums = []
    for recipe in (*recipes, recipes[0]):
        live.install(merger, recipe)
        sums.append(live.checksum())
    assert len({start, *sums[:2]}) == 3
    assert sums[2] == sums[0]
    assert LiveModel.load(base).checksum() == start


def test_the_model_is_ready_to_score(family: Callable[..., Family]) -> None:
    live = LiveModel.load(family()[0], dtype="bfloat16", attention="eager")
    assert not live.model.training
    assert live.model.dtype == torch.bfloat16
    assert live.model.config._attn_implementation == "eager"
    assert not any(parameter.requires_grad for parameter in live.model.parameters())


class TestOtherReferences:
    """A model takes the tensors of the checkpoint that it was loaded from, and of no other."""

    def refused(self, family: Callable[..., Family], tmp_path: Path, change: Callable[..., object]) -> str:
        base, one, _ = family()
        live = LiveModel.load(base)
        other = Path(shutil.copytree(one, tmp_path / "other"))
        rewrite(other, change)
        recipe = make_recipe("linear", [other])
        with pytest.raises(ValueError) as caught:
            live.install(Merger(Checkpoints.open(recipe)), recipe)
        return str(caught.value)

    def test_missing(self, family: Callable[..., Family], tmp_path: Path) -> None:
        said = self.refused(family, tmp_path, lambda tensors: tensors.pop("model.norm.weight"))
        assert "'model.norm.weight' is in the model or in the merger's reference, but not in both" in said

    def test_unknown(self, family: Callable[..., Family], tmp_path: Path) -> None:
        said = self.refused(family, tmp_path, lambda tensors: tensors.update({"unknown.norm": torch.ones(1)}))
        assert "'unknown.norm' is in the model or in the merger's reference, but not in both" in said

    def test_misshapen(self, family: Callable[..., Family], tmp_path: Path) -> None:
        def cut(tensors: dict[str, torch.Tensor]) -> None:
            tensors["model.norm.weight"] = tensors["model.norm.weight"][:-1].clone()

        assert "'model.norm.weight' has shape [15]" in self.refused(family, tmp_path, cut)


class TestRefusals:
    """A folder that transformers would fill with random numbers is not loaded."""

    def changed(self, family: Callable[..., Family], tmp_path: Path, change: Callable[..., object]) -> Path:
        folder = Path(shutil.copytree(family()[0], tmp_path / "changed"))
        rewrite(folder, change)
        return folder

    def test_missing_weight(self, family: Callable[..., Family], tmp_path: Path) -> None:
        folder = self.changed(family, tmp_path, lambda tensors: tensors.pop("model.layers.1.mlp.up_proj.weight"))
        with pytest.raises(InputError, match=r"lacks weights for 'model\.layers\.1\.mlp\.up_proj\.weight'"):
            LiveModel.load(folder)

    def test_other_shape_than_the_config(self, family: Callable[..., Family], tmp_path: Path) -> None:
        folder = self.changed(family, tmp_path, lambda tensors: None)
        edit_json(folder / "config.json", vocab_size=VOCABULARY + 1)
        with pytest.raises(InputError, match=rf"wants \[{VOCABULARY + 1}, 16\]"):
            LiveModel.load(folder)

    def test_no_language_model(self, family: Callable[..., Family], tmp_path: Path) -> None:
        folder = self.changed(family, tmp_path, lambda tensors: None)
        (folder / "config.json").write_text('{"model_type": "vit"}')
        with pytest.raises(InputError, match="no causal language model of type 'vit'"):
            LiveModel.load(folder)

    def test_unknown_model_type(self, family: Callable[..., Family], tmp_path: Path) -> None:
        folder = self.changed(family, tmp_path, lambda tensors: None)
        (folder / "config.json").write_text('{"model_type": "nothing_of_that_name"}')
        with pytest.raises(InputError, match="nothing_of_that_name"):
            LiveModel.load(folder)
