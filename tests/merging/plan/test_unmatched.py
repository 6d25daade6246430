"""Tensors that only some models have: refused, frozen or kept as the recipe says, and accounted for by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers

from evomerge.errors import InputError
from evomerge.merging import Checkpoints, LiveModel, Merger, merge_to_folder
from evomerge.recipe import Recipe
from tests.building import edit_json, perturbed, rewrite, save_model, tiny
from tests.merging.conftest import Family, make_recipe
from tests.merging.stacks import weights

NORM = "model.norm.weight"
GATE = "model.layers.0.mlp.gate_proj.weight"
UP = "model.layers.1.mlp.up_proj.weight"
HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"
IDS = torch.tensor([[5, 9, 77, 200]])


@pytest.fixture(scope="module")
def odd(family: Callable[..., Family], tmp_path_factory: pytest.TempPathFactory) -> Family:
    """A base, and two experts: one with a value head and without a norm, one with another shape and a score head."""
    folder = tmp_path_factory.mktemp("odd")
    base, one, two = family(dtype=torch.float32)
    first, second = perturbed(one, folder / "first", 3), perturbed(two, folder / "second", 4)

    def with_value_head(tensors: dict[str, torch.Tensor]) -> None:
        del tensors[NORM]
        tensors["v_head.summary.weight"] = torch.arange(16.0)[None]
        tensors["v_head.summary.bias"] = torch.ones(1, dtype=torch.bfloat16)

    def misshapen(tensors: dict[str, torch.Tensor]) -> None:
        tensors[GATE] = tensors[GATE][:-1].clone()
        tensors["score.weight"] = torch.full((3, 16), 7.0)
        tensors["v_head.summary.weight"] = torch.zeros(1, 16)

    rewrite(first, with_value_head)
    rewrite(second, misshapen)
    return base, first, second


def recipe_of(odd: Family, unmatched: str, method: str = "ties") -> Recipe:
    base, first, second = odd
    return make_recipe(method, [first, second], base, unmatched=unmatched, out_dtype="float32")


def test_refused_by_name(odd: Family, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        merge_to_folder(recipe_of(odd, "refuse"), tmp_path / "out")
    said = str(caught.value)
    for name in (NORM, GATE, "v_head.summary.weight", "v_head.summary.bias", "score.weight"):
        assert name in said
    assert "unmatched=freeze" in said
    recipe = recipe_of(odd, "refuse")
    merger = Merger(Checkpoints.open(recipe))
    with pytest.raises(InputError, match=r"v_head\.summary\.weight' and 1 more, for which there is nothing"):
        merger.plan(recipe)


@pytest.mark.parametrize("unmatched", ["freeze", "keep"])
def test_every_tensor_is_accounted_for(odd: Family, tmp_path: Path, unmatched: str) -> None:
    base, first, second = map(weights, odd)
    recipe = recipe_of(odd, unmatched)
    checkpoints = Checkpoints.open(recipe)
    out = merge_to_folder(recipe, tmp_path / "out", merger=Merger(checkpoints))
    merged = weights(out)
    assert torch.equal(merged[NORM], base[NORM])
    assert torch.equal(merged[GATE], base[GATE])
    plain = recipe_of(odd, "refuse")
    untouched = {name for name in base if name not in (NORM, GATE)}
    assert not torch.equal(merged[UP], base[UP])
    kept = {"v_head.summary.weight": first, "v_head.summary.bias": first, "score.weight": second}
    assert set(merged) == set(base) | (set(kept) if unmatched == "keep" else set())
    for name in set(merged) - set(base):
        assert torch.equal(merged[name], kept[name][name])
        assert merged[name].dtype == kept[name][name].dtype
    entries = {(entry.what, entry.why): set(entry.names) for entry in Merger(checkpoints).account(recipe)}
    assert entries[("merged", "")] == untouched
    assert entries[("frozen", "without a match in every source")] == {NORM, GATE}
    if unmatched == "keep":
        assert entries[("kept", "of first")] == {n for n in kept if "v_" in n}
        assert ("left out", "of first") not in entries
        assert entries[("left out", "of second")] == {"v_head.summary.weight"}, "there is only one place for it"
    else:
        assert entries[("left out", "of first")] == {"v_head.summary.weight", "v_head.summary.bias"}
        assert entries[("left out", "of second")] == {"score.weight", "v_head.summary.weight"}
    assert recipe.digest != plain.digest
    # The live model has no place for what is kept, and answers as the folder does.
    live = LiveModel.load(odd[0])
    merger = Merger(checkpoints)
    live.install(merger, make_recipe("linear", [odd[1]], unmatched=unmatched, out_dtype="float32"))
    live.install(merger, recipe)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    assert torch.equal(live.model(IDS).logits, loaded(IDS).logits)


def test_an_expert_that_fits_nowhere_is_refused_whatever_is_said(family: Callable[..., Family], tmp_path: Path) -> None:
    base, *_ = family()
    wide = tiny("llama", tmp_path / "wide", 1, hidden_size=32)
    recipe = make_recipe("linear", [base, wide], unmatched="keep")
    with pytest.raises(InputError, match="more tensors have other shapes"):
        merge_to_folder(recipe, tmp_path / "out")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("heads")
    base = tiny("llama", folder / "tied", 0, tie_word_embeddings=True)
    found = {name: perturbed(base, folder / name, 1) for name in ("absent", "twice", "by_values", "untied_in_words")}
    found |= {"tied": base, "untied": tiny("llama", folder / "untied", 0)}
    for name in ("twice", "by_values"):
        rewrite(found[name], lambda tensors: tensors.update({HEAD: tensors[EMBEDDING].clone()}))
    rewrite(found["untied_in_words"], lambda tensors: tensors.update({HEAD: tensors[EMBEDDING].clone()}))
    edit_json(found["untied_in_words"] / "config.json", tie_word_embeddings=False)
    edit_json(found["by_values"] / "config.json", tie_word_embeddings=None)
    found["own"] = perturbed(found["untied"], folder / "own", 2)
    return found


class TestOutputEmbeddings:
    """All combinations of a tied or untied base and expert: as the config says, as the values say, stored twice."""

    @pytest.mark.parametrize("expert", ["absent", "twice", "by_values", "untied_in_words"])
    def test_a_tied_expert(self, models: dict[str, Path], tmp_path: Path, expert: str) -> None:
        """The base's form stays; on an untied base the expert's output embeddings are its input embeddings."""
        theirs = weights(models[expert])[EMBEDDING]
        for base in ("tied", "untied"):
            recipe = make_recipe(
                "task_arithmetic", [models[expert]], models[base], out_dtype="float32",
                coefficients={"weight": [[1.0]] * 3, "lambda": [1.0] * 3},
            )  # fmt: skip
            checkpoints = Checkpoints.open(recipe)
            told = base == "untied" and expert != "untied_in_words"
            assert bool(checkpoints.compare().warnings) == told
            out = merge_to_folder(recipe, tmp_path / base, merger=Merger(checkpoints))
            merged = weights(out)
            torch.testing.assert_close(merged[EMBEDDING], theirs, atol=1e-6, rtol=0)
            assert (HEAD in merged) == (base == "untied")
            if base == "untied":
                torch.testing.assert_close(merged[HEAD], theirs, atol=1e-6, rtol=0)
            live = LiveModel.load(models[base])
            live.install(Merger(checkpoints), recipe)
            loaded = transformers.AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
            original = transformers.AutoModelForCausalLM.from_pretrained(models[expert], dtype=torch.float32)
            assert torch.equal(live.model(IDS).logits, loaded(IDS).logits)
            torch.testing.assert_close(loaded(IDS).logits, original(IDS).logits, atol=1e-4, rtol=1e-4)

    def test_an_untied_expert(self, models: dict[str, Path], tmp_path: Path) -> None:
        """On a tied base it is refused, or its output embeddings are left out and named."""
        recipe = make_recipe("linear", [models["own"]], models["untied"])
        assert Checkpoints.open(recipe).compare().warnings == ()
        recipe = make_recipe("ties", [models["own"]], models["tied"])
        for unmatched in ("refuse", "keep"):
            with pytest.raises(InputError, match=r"own \(lm_head\.weight\), but the reference ties them"):
                merge_to_folder(replace(recipe, unmatched=unmatched), tmp_path / "out")
        with pytest.raises(InputError, match=r"has 'lm_head\.weight', for which there is nothing"):
            Merger(Checkpoints.open(recipe)).plan(replace(recipe, unmatched="keep"))
        recipe = replace(recipe, unmatched="freeze")
        out = merge_to_folder(recipe, tmp_path / "out")
        assert HEAD not in weights(out)
        account = Merger(Checkpoints.open(recipe)).account(recipe)
        assert [(e.why, e.names) for e in account if e.what == "left out"] == [("of own", (HEAD,))]


def test_a_language_model_and_one_that_also_sees(tmp_path: Path) -> None:
    """Either way round the language models are merged; the tower is the base's, or left out or kept as told."""
    seeing = tiny("llava", tmp_path / "seeing", 0)
    whole = transformers.AutoModelForImageTextToText.from_pretrained(seeing)
    alone = transformers.AutoModelForCausalLM.from_config(whole.config.text_config)
    alone.model.load_state_dict(whole.model.language_model.state_dict())
    alone.lm_head.load_state_dict(whole.lm_head.state_dict())
    save_model(alone, tmp_path / "alone")
    text = perturbed(tmp_path / "alone", tmp_path / "text", 1)
    alone = transformers.AutoModelForCausalLM.from_pretrained(text)
    whole_weight = {"weight": [[1.0]] * 3, "lambda": [1.0] * 3}
    for base, expert, unmatched, model in (
        (seeing, text, "freeze", alone), (text, seeing, "freeze", whole), (text, seeing, "keep", whole),
    ):  # fmt: skip
        fields = {"unmatched": unmatched, "out_dtype": "float32"}
        recipe = make_recipe("task_arithmetic", [expert], base, coefficients=whole_weight, **fields)
        with pytest.raises(InputError, match=r"multi_modal_projector\.linear_1\.bias"):
            merge_to_folder(replace(recipe, unmatched="refuse"), tmp_path / "out")
        checkpoints = Checkpoints.open(recipe)
        assert "their language models are merged" in checkpoints.compare(unmatched=unmatched).warnings[0]
        out = merge_to_folder(recipe, tmp_path / f"{base.name} {unmatched}", merger=Merger(checkpoints))
        live = LiveModel.load(base)
        live.install(Merger(checkpoints), recipe)
        loaded = type(live.model).from_pretrained(out)
        assert torch.equal(live.model(input_ids=IDS).logits, loaded(input_ids=IDS).logits)
        torch.testing.assert_close(loaded(input_ids=IDS).logits, model(input_ids=IDS).logits)
        tower = {name for name in weights(seeing) if not name.startswith("language_model")}
        assert weights(out).keys() == weights(base).keys() | (tower if unmatched == "keep" else set())
        assert all(torch.equal(weights(out)[name], weights(seeing)[name]) for name in tower & weights(out).keys())
