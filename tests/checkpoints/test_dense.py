"""Tensors are mapped, equal to what the library reads, and the folder's form does not change what they are."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from evomerge.checkpoints import Checkpoint
from evomerge.errors import InputError
from tests.building import edit_json, perturbed, rewrite, tiny, tiny_llama


def test_tensors_equal_the_library(llama: Path) -> None:
    opened = Checkpoint.open(llama)
    expected = load_file(llama / "model.safetensors")
    assert set(opened.tensors) == set(expected)
    for name, tensor in expected.items():
        assert torch.equal(opened.tensor(name), tensor)
        assert opened.tensor(name).dtype == tensor.dtype
    assert opened.config["model_type"] == "llama"
    assert opened.dtype == torch.bfloat16


def test_shards_hold_the_same_model(llama: Path, sharded: Path) -> None:
    assert len(list(sharded.glob("model-*.safetensors"))) > 2
    one, several = Checkpoint.open(llama), Checkpoint.open(sharded)
    assert set(one.tensors) == set(several.tensors)
    assert all(torch.equal(one.tensor(name), several.tensor(name)) for name in one.tensors)
    assert one.fingerprint() == several.fingerprint()


def test_fingerprint_tells_contents_apart(llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
    fingerprint = Checkpoint.open(llama).fingerprint()
    assert len(fingerprint) == 64
    assert Checkpoint.open(copy_of(llama)).fingerprint() == fingerprint
    assert Checkpoint.open(expert).fingerprint() != fingerprint

    def one_bit(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.norm.weight"].view(torch.int16)[3] ^= 1

    changed = copy_of(llama, "changed")
    rewrite(changed, one_bit)
    assert Checkpoint.open(changed).fingerprint() != fingerprint


def test_tensors_are_views_of_the_file(llama: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(llama)
    before = (folder / "model.safetensors").read_bytes()
    opened = Checkpoint.open(folder)
    assert opened.tensor("lm_head.weight").data_ptr() == opened.tensor("lm_head.weight").data_ptr()
    opened.tensor("lm_head.weight").zero_()  # against the rules, and still harmless to the file
    assert (folder / "model.safetensors").read_bytes() == before


def test_offsets_that_no_element_type_can_be_read_at(llama: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(llama)
    data = struct.pack("<f", 1.5) + struct.pack("<f", -2.0)
    header = json.dumps(
        {
            "flag": {"dtype": "BOOL", "shape": [1], "data_offsets": [0, 1]},
            "weight": {"dtype": "F32", "shape": [2], "data_offsets": [1, 9]},
        }
    ).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\1" + data)
    opened = Checkpoint.open(folder)
    assert opened.tensor("weight").tolist() == [1.5, -2.0]
    assert opened.tensor("flag").tolist() == [True]


class TestTies:
    """Whether output embeddings are their own follows from the values, in whatever form a folder stores them."""

    def test_absent_head(self, tied: Path) -> None:
        opened = Checkpoint.open(tied)
        assert "lm_head.weight" not in opened.tensors
        assert opened.tied
        assert opened.aliases == {}

    def test_repeated_head(self, tied: Path, copy_of: Callable[..., Path]) -> None:
        opened = Checkpoint.open(repeat_head(copy_of(tied)))
        assert opened.tied
        assert opened.aliases == {"lm_head.weight": "model.embed_tokens.weight"}

    def test_head_of_its_own(self, llama: Path) -> None:
        opened = Checkpoint.open(llama)
        assert not opened.tied
        assert opened.heads_of_their_own == ("lm_head.weight",)

    def test_config_that_separates_equal_ones(self, tied: Path, copy_of: Callable[..., Path]) -> None:
        folder = repeat_head(copy_of(tied))
        edit_json(folder / "config.json", tie_word_embeddings=False)
        assert not Checkpoint.open(folder).tied

    def test_config_that_says_nothing(self, tied: Path, copy_of: Callable[..., Path]) -> None:
        folder = repeat_head(copy_of(tied))
        edit_json(folder / "config.json", tie_word_embeddings=None)
        assert Checkpoint.open(folder).tied

    def test_a_head_under_another_name(self, tmp_path: Path) -> None:
        assert Checkpoint.open(tiny("gpt_neox", tmp_path / "neox", 0)).heads_of_their_own == ("embed_out.weight",)
        assert Checkpoint.open(tiny("gpt2", tmp_path / "gpt2", 0)).tied


def repeat_head(folder: Path) -> Path:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()

    rewrite(folder, change)
    return folder


class TestRefusals:
    """Folders that cannot be read say what they are and what to do."""

    def refused(self, folder: Path) -> str:
        with pytest.raises(InputError) as caught:
            Checkpoint.open(folder)
        return str(caught.value)

    def test_no_folder(self, tmp_path: Path) -> None:
        assert "there is no folder" in self.refused(tmp_path / "none")

    def test_empty_folder_lacks_config_and_weights(self, tmp_path: Path) -> None:
        message = self.refused(tmp_path)
        assert "config.json" in message
        assert "model.safetensors" in message

    def test_pickled_weights(self, llama: Path, copy_of: Callable[..., Path]) -> None:
        folder = copy_of(llama)
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(b"\x80\x04never read")
        message = self.refused(folder)
        assert "pickled weights (pytorch_model.bin)" in message
        assert "save_pretrained" in message

    def test_pickled_weights_beside_safetensors_do_not_matter(self, llama: Path, copy_of: Callable[..., Path]) -> None:
        folder = copy_of(llama)
        (folder / "pytorch_model.bin").write_bytes(b"\x80\x04never read")
        assert "lm_head.weight" in Checkpoint.open(folder).tensors

    def test_gguf_only(self, llama: Path, copy_of: Callable[..., Path]) -> None:
        folder = copy_of(llama)
        (folder / "model.safetensors").rename(folder / "model-q4.gguf")
        message = self.refused(folder)
        assert "GGUF weights only (model-q4.gguf)" in message
        assert "gguf_file='model-q4.gguf'" in message

    def test_adapter(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text("{}")
        (tmp_path / "adapter_config.json").write_text("{}")
        (tmp_path / "adapter_model.safetensors").write_bytes(b"")
        assert "merge_and_unload" in self.refused(tmp_path)

    def test_quantisation_config(self, llama: Path, copy_of: Callable[..., Path]) -> None:
        folder = copy_of(llama)
        edit_json(folder / "config.json", quantization_config={"quant_method": "gptq", "bits": 4})
        message = self.refused(folder)
        assert "quantization_config with quant_method 'gptq'" in message
        assert "original" in message

    def test_quantised_tensors(self, llama: Path, copy_of: Callable[..., Path]) -> None:
        folder = copy_of(llama)

        def quantise(tensors: dict[str, torch.Tensor]) -> None:
            tensors["lm_head.weight"] = tensors["lm_head.weight"].to(torch.float8_e4m3fn)

        rewrite(folder, quantise)
        assert "float8_e4m3fn" in self.refused(folder)

    def test_broken_config(self, llama: Path, copy_of: Callable[..., Path]) -> None:
        folder = copy_of(llama)
        (folder / "config.json").write_text("{oops")
        assert "cannot be read as JSON" in self.refused(folder)

    def test_missing_shard(self, sharded: Path, copy_of: Callable[..., Path]) -> None:
        folder = copy_of(sharded)
        gone = sorted(folder.glob("model-*.safetensors"))[1]
        gone.unlink()
        assert f"{gone.name}' is missing" in self.refused(folder)

    def test_index_that_promises_too_much(self, sharded: Path, copy_of: Callable[..., Path]) -> None:
        folder = copy_of(sharded)
        path = folder / "model.safetensors.index.json"
        listed = json.loads(path.read_text())["weight_map"]
        edit_json(path, weight_map={**listed, "model.extra.weight": next(iter(listed.values()))})
        assert "'model.extra.weight'" in self.refused(folder)

    def test_index_that_leaves_the_folder(self, sharded: Path, copy_of: Callable[..., Path]) -> None:
        folder = copy_of(sharded)
        edit_json(folder / "model.safetensors.index.json", weight_map={"a": "../../etc/secrets.safetensors"})
        assert "must lie in the folder itself" in self.refused(folder)


def test_perturbed_is_an_expert(tmp_path: Path) -> None:
    base = tiny_llama(tmp_path / "base", seed=3, tied=True)
    expert = Checkpoint.open(perturbed(base, tmp_path / "expert", seed=4, scale=0.01))
    for name in expert.tensors:
        difference = (expert.tensor(name).float() - Checkpoint.open(base).tensor(name).float()).abs()
        assert 0 < difference.mean() < 0.02
