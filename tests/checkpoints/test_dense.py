"""Tensors are mapped, equal to what the library reads, and the folder's form does not change what they are."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

from evomerge.checkpoints import open_source, stored_dtype, untied_heads
from tests.building import edit_json, perturbed, rewrite, tiny, tiny_llama


def test_tensors_equal_the_library(llama: Path) -> None:
    opened = open_source(llama)
    expected = load_file(llama / "model.safetensors")
    assert set(opened.specs) == set(expected)
    for name, tensor in expected.items():
        assert torch.equal(opened.tensor(name), tensor)
        assert opened.tensor(name).dtype == tensor.dtype
    assert opened.config["model_type"] == "llama"
    assert stored_dtype(opened) == torch.bfloat16


def test_shards_hold_the_same_model(llama: Path, sharded: Path) -> None:
    assert len(list(sharded.glob("model-*.safetensors"))) > 2
    one, several = open_source(llama), open_source(sharded)
    assert set(one.specs) == set(several.specs)
    assert all(torch.equal(one.tensor(name), several.tensor(name)) for name in one.specs)
    assert one.fingerprint() == several.fingerprint()


def test_fingerprint_tells_contents_apart(llama: Path, expert: Path, copy_of: Callable[..., Path]) -> None:
    fingerprint = open_source(llama).fingerprint()
    assert len(fingerprint) == 64
    assert open_source(copy_of(llama)).fingerprint() == fingerprint
    assert open_source(expert).fingerprint() != fingerprint

    def one_bit(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.norm.weight"].view(torch.int16)[3] ^= 1

    changed = copy_of(llama, "changed")
    rewrite(changed, one_bit)
    assert open_source(changed).fingerprint() != fingerprint


def test_tensors_are_views_of_the_file(llama: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(llama)
    before = (folder / "model.safetensors").read_bytes()
    opened = open_source(folder)
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
    opened = open_source(folder)
    assert opened.tensor("weight").tolist() == [1.5, -2.0]
    assert opened.tensor("flag").tolist() == [True]


class TestHeads:
    """Whether output embeddings are their own follows from the values, in whatever form a folder stores them."""

    def test_absent_head(self, tied: Path) -> None:
        opened = open_source(tied)
        assert "lm_head.weight" not in opened.specs
        assert not untied_heads(opened)
        assert opened.aliases == {}

    def test_repeated_head(self, tied: Path, copy_of: Callable[..., Path]) -> None:
        opened = open_source(repeat_head(copy_of(tied)))
        assert not untied_heads(opened)
        assert opened.aliases == {"lm_head.weight": "model.embed_tokens.weight"}

    def test_head_of_its_own(self, llama: Path) -> None:
        opened = open_source(llama)
        assert untied_heads(opened) == ("lm_head.weight",)

    def test_config_that_separates_equal_ones(self, tied: Path, copy_of: Callable[..., Path]) -> None:
        folder = repeat_head(copy_of(tied))
        edit_json(folder / "config.json", tie_word_embeddings=False)
        assert untied_heads(open_source(folder))

    def test_config_that_says_nothing(self, tied: Path, copy_of: Callable[..., Path]) -> None:
        folder = repeat_head(copy_of(tied))
        edit_json(folder / "config.json", tie_word_embeddings=None)
        assert not untied_heads(open_source(folder))

    def test_a_head_under_another_name(self, tmp_path: Path) -> None:
        assert untied_heads(open_source(tiny("gpt_neox", tmp_path / "neox", 0))) == ("embed_out.weight",)
        assert not untied_heads(open_source(tiny("gpt2", tmp_path / "gpt2", 0)))


def repeat_head(folder: Path) -> Path:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()

    rewrite(folder, change)
    return folder


def test_perturbed_is_an_expert(tmp_path: Path) -> None:
    base = tiny_llama(tmp_path / "base", seed=3, tied=True)
    expert = open_source(perturbed(base, tmp_path / "expert", seed=4, scale=0.01))
    for name in expert.specs:
        difference = (expert.tensor(name).float() - open_source(base).tensor(name).float()).abs()
        assert 0 < difference.mean() < 0.02


def test_shards_of_odd_shapes(llama: Path, copy_of: Callable[..., Path]) -> None:
    """One shard, shards in any order and under any names, one of which holds nothing: always the same model."""
    whole = open_source(llama)
    tensors = {name: whole.tensor(name).clone() for name in whole.specs}
    names = sorted(tensors, reverse=True)
    layouts = {
        "one": {"model-00001-of-00001.safetensors": names},
        "backwards": {f"model-{9 - i:05d}-of-00009.safetensors": names[i::9] for i in range(9)},
        "named otherwise": {"b.safetensors": names[:3], "a.safetensors": names[3:]},
        "one is empty": {"model-00001-of-00002.safetensors": [], "model-00002-of-00002.safetensors": names},
    }
    for layout, files in layouts.items():
        folder = copy_of(llama, layout)
        (folder / "model.safetensors").unlink()
        for file, held in files.items():
            save_file({name: tensors[name] for name in held}, folder / file, metadata={"format": "pt"})
        index = {"metadata": {}, "weight_map": {name: file for file, held in files.items() for name in held}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        source = open_source(folder)
        assert source.specs.keys() == whole.specs.keys(), layout
        assert source.fingerprint() == whole.fingerprint(), layout
        loaded = transformers.AutoModelForCausalLM.from_pretrained(folder).state_dict()
        assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items()), layout
