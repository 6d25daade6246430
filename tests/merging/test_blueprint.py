"""A model is built without its weights by the rules that it is loaded by."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from evomerge.checkpoints import open_source
from evomerge.errors import InputError
from evomerge.merging import Blueprint, LiveModel
from tests.building import MODEL_TYPES, edit_json, rewrite
from tests.merging.conftest import Family

# What transformers chooses where nobody asks for an implementation.
EAGER = {"gemma2", "bloom", "mamba"}


@pytest.mark.parametrize("kind", MODEL_TYPES)
def test_default_attention_is_the_models_own(family: Callable[..., Family], kind: str) -> None:
    base = family(kind)[0]
    blueprint = Blueprint.of(open_source(base))
    assert blueprint.attention == ("eager" if kind in EAGER else "sdpa")
    model = LiveModel.load(base).model
    assert model.config._attn_implementation == blueprint.attention
    asked = LiveModel.load(base, attention=blueprint.attention).model
    ids = torch.tensor([[5, 6, 7, 8]])
    assert torch.equal(model(input_ids=ids).logits, asked(input_ids=ids).logits)


def test_weights_are_not_read(family: Callable[..., Family], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(family()[0], tmp_path / "copy"))
    source = open_source(folder)
    (folder / "model.safetensors").unlink()
    assert all(parameter.is_meta for parameter in Blueprint.of(source).model.parameters())


def test_tied_head_needs_no_tensor(family: Callable[..., Family]) -> None:
    base = family("llama", tie_word_embeddings=True)[0]
    assert "lm_head.weight" not in open_source(base).specs
    Blueprint.of(open_source(base))


class TestRefusals:
    """What is refused here is refused in the same words when the model is loaded."""

    def refused(self, folder: Path, **options: str) -> tuple[str, ...]:
        with pytest.raises(InputError) as caught:
            Blueprint.of(open_source(folder), **options)
        with pytest.raises(InputError) as loading:
            LiveModel.load(folder, **options)
        assert loading.value.problems == caught.value.problems
        return caught.value.problems

    @pytest.fixture
    def folder(self, family: Callable[..., Family], tmp_path: Path) -> Path:
        return Path(shutil.copytree(family()[0], tmp_path / "copy"))

    def test_head_that_is_neither_tied_nor_stored(self, folder: Path) -> None:
        rewrite(folder, lambda tensors: tensors.pop("lm_head.weight"))
        (problem,) = self.refused(folder)
        assert "lacks weights for 'lm_head.weight'" in problem
        assert "set tie_word_embeddings to true in config.json" in problem
        assert "else store lm_head.weight" in problem
        edit_json(folder / "config.json", tie_word_embeddings=True)
        Blueprint.of(open_source(folder))

    def test_many_missing_weights(self, folder: Path) -> None:
        def drop(tensors: dict[str, torch.Tensor]) -> None:
            for name in [name for name in tensors if "layers.1" in name]:
                del tensors[name]

        rewrite(folder, drop)
        (problem,) = self.refused(folder)
        assert "'model.layers.1." in problem
        assert "and 4 more" in problem
        assert "(model_type 'llama')" in problem

    def test_every_tensor_of_another_shape(self, folder: Path) -> None:
        edit_json(folder / "config.json", vocab_size=300)
        problems = self.refused(folder)
        assert len(problems) == 2
        assert all(str(folder) in problem and "wants [300, 16]" in problem for problem in problems)

    def test_experts_that_cannot_be_stacked(self, family: Callable[..., Family], tmp_path: Path) -> None:
        folder = Path(shutil.copytree(family("mixtral")[0], tmp_path / "copy"))
        edit_json(folder / "config.json", num_local_experts=4)
        assert all(str(folder) in problem for problem in self.refused(folder))

    def test_attention_that_the_model_does_not_have(self, family: Callable[..., Family], folder: Path) -> None:
        bloom = family("bloom")[0]
        (problem,) = self.refused(bloom, attention="sdpa")
        assert problem.startswith(f"attention 'sdpa' cannot be used with {str(bloom)!r}: ")
        assert "scaled_dot_product_attention yet. Leave it at auto, which takes 'eager'" in problem
        assert "github" not in problem
        edit_json(folder / "config.json", hidden_act="unheard_of")
        assert "unheard_of" in self.refused(folder, attention="sdpa")[0]

    @pytest.mark.parametrize(
        ("config", "reason"),
        [
            ({"model_type": None}, "has no model_type"),
            ({"model_type": "mystery"}, "mystery"),
            ({"model_type": "vit"}, "no causal language model of type 'vit'"),
            ({"model_type": "mystery", "auto_map": {"AutoConfig": "a.B"}}, "trust_remote_code=true"),
            ({"hidden_size": "wide"}, "hidden_size"),
            ({"num_attention_heads": 0}, "transformers cannot build the model"),
            ({"hidden_act": "unheard_of"}, "unheard_of"),
        ],
    )
    def test_configs(self, folder: Path, config: dict[str, object], reason: str) -> None:
        edit_json(folder / "config.json", **config)
        (problem,) = self.refused(folder)
        assert reason in problem
        assert str(folder) in problem
        assert "\n" not in problem

    def test_broken_generation_config(self, folder: Path) -> None:
        (folder / "generation_config.json").write_text(json.dumps([1]))
        assert "generation_config.json" in self.refused(folder)[0]
