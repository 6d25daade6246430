"""An exported folder is complete, is the reference's in all but its weights, or is not there at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers

from evomerge.checkpoints import open_source
from evomerge.errors import InputError
from evomerge.merging import Checkpoints, Merger, NonFinite, merge_to_folder
from evomerge.recipe import PostStep, Recipe
from tests.building import rewrite
from tests.merging.conftest import Family, make_recipe

OURS = {"config.json", "recipe.json", "mergekit_config.yml", "README.md", "model.safetensors"}


def test_files_and_their_contents(family: Callable[..., Family], tmp_path: Path) -> None:
    base, one, two = family()
    recipe = make_recipe("ties", [one, two], base)
    texts = {"README.md": "---\ntags: [merge]\n---\n", "mergekit_config.yml": "merge_method: ties\n"}
    out = merge_to_folder(recipe, tmp_path / "new" / "out", texts=texts)
    assert out == tmp_path / "new" / "out"
    names = {path.name for path in out.iterdir()}
    assert names == {path.name for path in base.iterdir()} | OURS
    for name in names - OURS:
        assert (out / name).read_bytes() == (base / name).read_bytes()
    assert Recipe.load(out / "recipe.json") == recipe
    assert {name: (out / name).read_text() for name in texts} == texts
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_weights_are_the_stream(family: Callable[..., Family], tmp_path: Path) -> None:
    base, one, two = family()
    recipe = make_recipe("task_arithmetic", [one, two], base)
    written = open_source(merge_to_folder(recipe, tmp_path / "out"))
    expected = dict(Merger(Checkpoints.open(recipe)).stream(recipe))
    assert written.specs.keys() == expected.keys()
    assert all(torch.equal(written.tensor(name), tensor) for name, tensor in expected.items())


def test_shards(family: Callable[..., Family], tmp_path: Path) -> None:
    base, one, two = family()
    recipe = make_recipe("linear", [one, two], base)
    whole = merge_to_folder(recipe, tmp_path / "whole")
    parts = merge_to_folder(recipe, tmp_path / "parts", max_shard_size="8KB")
    assert len(list(parts.glob("model-*-of-*.safetensors"))) > 2
    assert open_source(whole).fingerprint() == open_source(parts).fingerprint()
    loaded = [transformers.AutoModelForCausalLM.from_pretrained(folder).state_dict() for folder in (whole, parts)]
    assert all(torch.equal(tensor, loaded[1][name]) for name, tensor in loaded[0].items())


class TestNothingIsLeftBehind:
    """Whatever goes wrong, the folder is as it was."""

    def nothing_in(self, folder: Path) -> bool:
        return not folder.exists() or not list(folder.iterdir())

    def test_nonfinite_tensor(self, family: Callable[..., Family], tmp_path: Path) -> None:
        base, one, two = family()
        broken = Path(shutil.copytree(two, tmp_path / "two"))
        rewrite(broken, lambda tensors: tensors["model.norm.weight"].fill_(float("nan")))
        with pytest.raises(NonFinite):
            merge_to_folder(make_recipe("linear", [one, broken], base), tmp_path / "a" / "b" / "out")
        assert not (tmp_path / "a").exists()

    def test_weights_that_vanish_meanwhile(self, family: Callable[..., Family], tmp_path: Path) -> None:
        base, one, two = family()
        expert = Path(shutil.copytree(two, tmp_path / "two"))
        recipe = make_recipe("linear", [one, expert], base)
        checkpoints = Checkpoints.open(recipe)
        (expert / "model.safetensors").unlink()
        with pytest.raises(OSError, match="No such file"):
            merge_to_folder(recipe, tmp_path / "here" / "out", merger=Merger(checkpoints))
        assert not (tmp_path / "here").exists()

    def test_checkpoints_that_do_not_fit(self, family: Callable[..., Family], tmp_path: Path) -> None:
        base, one, _ = family()
        other = family("gpt2")[0]
        with pytest.raises(InputError, match="model_type"):
            merge_to_folder(make_recipe("linear", [one, other], base), tmp_path / "out")
        assert self.nothing_in(tmp_path)

    def test_full_disk(self, family: Callable[..., Family], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        base, one, two = family()
        usage = type(shutil.disk_usage(tmp_path))(10**9, 10**9 - 1000, 1000)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
        with pytest.raises(InputError, match=r"needs 0\.1 GB .* only 0\.0 GB are free"):
            merge_to_folder(make_recipe("linear", [one, two], base), tmp_path / "out")
        assert self.nothing_in(tmp_path)

    def test_taken_folder(self, family: Callable[..., Family], tmp_path: Path) -> None:
        base, one, two = family()
        recipe = make_recipe("linear", [one, two], base)
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "precious").write_text("mine")
        with pytest.raises(InputError, match="not empty"):
            merge_to_folder(recipe, tmp_path / "out")
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["precious"]
        with pytest.raises(InputError, match="is a file"):
            merge_to_folder(recipe, tmp_path / "out" / "precious")
        with pytest.raises(InputError, match="not a folder that can be written to"):
            merge_to_folder(recipe, tmp_path / "out" / "precious" / "deeper")

    def test_an_empty_folder_is_not_taken(self, family: Callable[..., Family], tmp_path: Path) -> None:
        base, one, two = family()
        (tmp_path / "out").mkdir()
        out = merge_to_folder(make_recipe("linear", [one, two], base), tmp_path / "out")
        assert (out / "model.safetensors").exists()

    def test_links(self, family: Callable[..., Family], tmp_path: Path) -> None:
        """The folder that a link names is filled, and the link stays; one that leads nowhere is refused at once."""
        base, one, two = family()
        recipe = make_recipe("linear", [one, two], base)
        (tmp_path / "large disk").mkdir()
        (tmp_path / "out").symlink_to("large disk")
        (tmp_path / "dangling").symlink_to("nowhere")
        assert merge_to_folder(recipe, tmp_path / "out") == tmp_path / "out"
        assert (tmp_path / "out").is_symlink()
        assert (tmp_path / "large disk" / "model.safetensors").exists()
        with pytest.raises(InputError, match="is a link that leads nowhere"):
            merge_to_folder(recipe, tmp_path / "dangling")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "large disk", "out"]

    def test_unbuilt_fields_and_size(self, family: Callable[..., Family], tmp_path: Path) -> None:
        base, one, two = family()
        recipe = make_recipe("linear", [one, two], base, post=(PostStep("widen"), PostStep("shrink")))
        with pytest.raises(InputError) as caught:
            merge_to_folder(recipe, tmp_path / "out")
        assert len(caught.value.problems) == 2
        read = make_recipe("linear", [one, two], base, statistics=("5a" * 32,))
        with pytest.raises(InputError, match="statistics"):
            merge_to_folder(read, tmp_path / "out")
        with pytest.raises(InputError, match="is not a size"):
            merge_to_folder(recipe, tmp_path / "out", max_shard_size="huge")
        assert self.nothing_in(tmp_path)
