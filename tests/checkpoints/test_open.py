"""One opener: what a folder is, is told from its files, and everything wrong with several comes at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from evomerge.checkpoints import open_all, open_source
from evomerge.errors import InputError
from evomerge.recipe import CheckpointRef


def refused(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        open_source(folder)
    return str(caught.value)


def test_home_folder(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(llama.parent))
    assert open_source("~/base").path == llama


def test_source_of_a_dense_folder(llama: Path) -> None:
    source = open_source(llama)
    name = "lm_head.weight"
    before = source.tensor(name).clone()
    assert source.in_place(name)
    assert source.file(name) == llama / "model.safetensors"
    assert (source.specs[name].numel, source.specs[name].nbytes) == (before.numel(), before.nbytes)
    source.release()
    assert torch.equal(source.tensor(name), before)


def test_adapter_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    message = refused(tmp_path)
    assert "is a LoRA adapter (adapter_config.json)" in message
    assert "merge_and_unload" in message


def test_adapter_beside_a_whole_model_could_mean_both(llama: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(llama)
    (folder / "adapter_config.json").write_text("{}")
    message = refused(folder)
    assert "model.safetensors" in message
    assert "adapter_config.json" in message
    assert "Move the adapter's files" in message


class TestSeveral:
    """The one loop that finds and opens checkpoints."""

    def test_each_once_and_in_order(self, llama: Path, expert: Path) -> None:
        refs = [CheckpointRef(str(folder)) for folder in (expert, llama, expert)]
        opened = open_all(refs, lambda ref: ref.source)
        assert list(opened) == refs[:2]
        assert [source.path for source in opened.values()] == [expert, llama]

    def test_all_problems_at_once(self, llama: Path, tmp_path: Path) -> None:
        def find(ref: CheckpointRef) -> Path:
            if ref.source == "nowhere":
                raise InputError("there is no nowhere")
            return Path(ref.source)

        refs = [CheckpointRef(source) for source in (str(llama), "nowhere", str(tmp_path / "none"))]
        with pytest.raises(InputError) as caught:
            open_all(refs, find)
        first, second = caught.value.problems
        assert first == "there is no nowhere"
        assert str(tmp_path / "none") in second

    def test_recorded_weights(self, llama: Path, expert: Path, tmp_path: Path) -> None:
        ref = CheckpointRef(
            str(shutil.copytree(llama, tmp_path / "copy")), fingerprint=open_source(llama).fingerprint()
        )
        opened = open_all([ref], lambda ref: ref.source, verify=True)
        assert opened[ref].fingerprint() == ref.fingerprint
        shutil.copy(expert / "model.safetensors", tmp_path / "copy" / "model.safetensors")
        with pytest.raises(InputError, match="they have changed since"):
            open_all([replace(ref)], lambda ref: ref.source, verify=True)
