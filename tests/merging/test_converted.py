"""One model in two forms on disk: experts one by one or stacked, parts under older or newer names."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import transformers

from evomerge.checkpoints import open_source
from evomerge.merging import Checkpoints, LiveModel, Merger, merge_to_folder
from evomerge.merging.converted import ConvertedSource, converted
from evomerge.recipe import Group, ParameterGroups
from tests.building import perturbed, rewrite, save_model, tiny
from tests.merging.conftest import make_recipe


@pytest.fixture(scope="module", params=["mixtral", "qwen3_moe", "llava"])
def forms(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A base and an expert, each as transformers has always saved it and as it lies in memory."""
    folder = tmp_path_factory.mktemp(request.param)
    found = {"base": tiny(request.param, folder / "base", 0, dtype=torch.bfloat16)}
    found["expert"] = perturbed(found["base"], folder / "expert", 1)
    for name in ("base", "expert"):
        kind = (
            transformers.AutoModelForImageTextToText if request.param == "llava" else transformers.AutoModelForCausalLM
        )
        found[f"new {name}"] = new = folder / f"new_{name}"
        shutil.copytree(found[name], new)
        kind.from_pretrained(found[name]).save_pretrained(new, save_original_format=False)
    return found


def test_either_form_is_merged_with_the_other(forms: dict[str, Path]) -> None:
    """Linear merges are the same bits, element by element, whatever form the expert has."""
    for base in ("base", "new base"):
        merged = []
        for expert in ("expert", "new expert"):
            recipe = make_recipe("task_arithmetic", [forms[expert]], forms[base])
            checkpoints = Checkpoints.open(recipe)
            comparison = checkpoints.compare()
            assert comparison.problems == ()
            other_form = base.startswith("new") != expert.startswith("new")
            assert ("in another form than the reference's" in str(comparison.warnings)) == other_form
            merged.append(dict(Merger(checkpoints).stream(recipe)))
        same, other = merged
        assert same.keys() == other.keys() == open_source(forms[base]).specs.keys()
        assert all(torch.equal(same[name], other[name]) for name in same)


def _without_norm(tensors: dict[str, torch.Tensor]) -> None:
    del tensors[next(name for name in tensors if name.endswith("model.norm.weight"))]
    tensors["v_head.weight"] = torch.ones(1, 16)


def test_the_form_changes_no_identity_and_no_tensor_is_lost(forms: dict[str, Path], tmp_path: Path) -> None:
    reference, expert = open_source(forms["base"]), open_source(forms["expert"])
    with_head = Path(shutil.copytree(forms["new expert"], tmp_path / "with_head"))
    rewrite(with_head, lambda tensors: tensors.update({"v_head.weight": torch.ones(1, 16)}))
    other = open_source(with_head)
    found = converted(reference, other)
    assert isinstance(found, ConvertedSource)
    assert found.specs.keys() - reference.specs.keys() == {"v_head.weight"}
    assert found.fingerprint() == other.fingerprint()
    assert converted(reference, expert) is expert
    lacking = Path(shutil.copytree(forms["expert"], tmp_path / "lacking"))
    rewrite(lacking, _without_norm)
    apart = open_source(lacking)
    assert converted(reference, apart) is apart, "of what it lacks nothing can be put together"
    for name in reference.specs:
        assert torch.equal(found.tensor(name), expert.tensor(name))
        assert found.file(name).parent == with_head
    found.release()
    assert torch.equal(found.tensor(name), expert.tensor(name))
    incomplete = Path(shutil.copytree(forms["new expert"], tmp_path / "incomplete"))
    gone = next(name for name in other.specs if name not in expert.specs and name != "v_head.weight")
    rewrite(incomplete, lambda tensors: tensors.pop(gone))
    assert not converted(reference, open_source(incomplete)).specs.keys() >= reference.specs.keys()


def test_shared_embeddings_that_older_files_repeat(tmp_path: Path) -> None:
    """Encoder and decoder have the shared embeddings, under names whose random masks would be others."""
    config = transformers.T5Config(
        vocab_size=64, d_model=16, d_kv=4, d_ff=32, num_layers=1, num_heads=4, decoder_start_token_id=0
    )
    base = save_model(transformers.T5ForConditionalGeneration(config), tmp_path / "base")
    old = Path(shutil.copytree(base, tmp_path / "old"))
    parts = [f"{part}.embed_tokens.weight" for part in ("encoder", "decoder")]
    rewrite(old, lambda tensors: tensors.update({name: tensors["shared.weight"].clone() for name in parts}))
    expert = perturbed(base, tmp_path / "expert", 1)
    recipe = make_recipe("dare_linear", [expert], old, groups=ParameterGroups((Group("all"),)), out_dtype="float32")
    checkpoints = Checkpoints.open(recipe)
    assert checkpoints.compare().problems == ()
    live = LiveModel.load(old, causal=False)
    live.install(Merger(checkpoints), recipe)
    loaded = transformers.T5ForConditionalGeneration.from_pretrained(merge_to_folder(recipe, tmp_path / "out"))
    installed, read = live.model.state_dict(), loaded.state_dict()
    assert [name for name in read if not torch.equal(installed[name], read[name])] == []
