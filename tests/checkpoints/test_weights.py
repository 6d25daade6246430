"""Folders whose weights cannot be read say what they are and what to do."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers

from evomerge.checkpoints import open_source
from evomerge.errors import InputError
from tests.building import edit_json, rewrite, tiny_llama


def refused(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        open_source(folder)
    return str(caught.value)


def test_no_folder(tmp_path: Path) -> None:
    assert "there is no folder" in refused(tmp_path / "none")


def test_empty_folder_lacks_config_and_weights(tmp_path: Path) -> None:
    message = refused(tmp_path)
    assert "config.json" in message
    assert "model.safetensors" in message


def test_pickled_weights(llama: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(llama)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04never read")
    message = refused(folder)
    assert "pickled weights (pytorch_model.bin)" in message
    assert "save_pretrained" in message


def test_pickled_weights_beside_safetensors_do_not_matter(llama: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(llama)
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04never read")
    assert "lm_head.weight" in open_source(folder).specs


def test_gguf_only(llama: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(llama)
    (folder / "model.safetensors").rename(folder / "model-q4.gguf")
    message = refused(folder)
    assert "GGUF weights only (model-q4.gguf)" in message
    assert "gguf_file='model-q4.gguf'" in message


def test_quantisation_config(llama: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(llama)
    for method, remedy in (("gptq", ""), ("mxfp4", "Mxfp4Config(dequantize=True)"), ("fp8", "FineGrainedFP8Config")):
        edit_json(folder / "config.json", quantization_config={"quant_method": method, "bits": 4})
        message = refused(folder)
        assert f"quantization_config with quant_method '{method}'" in message
        assert "original" in message
        assert remedy in message
    edit_json(folder / "config.json", quantization_config=None, text_config={"quantization_config": {"bits": 4}})
    assert "is quantised" in refused(folder)


PROJECTION = "model.layers.0.self_attn.q_proj."
HEAD = "lm_head."


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"lm_head.weight": torch.float8_e4m3fn}, "it holds float8_e4m3fn tensors, such as 'lm_head.weight'"),
        ({PROJECTION + "weight": torch.float8_e4m3fn, PROJECTION + "weight_scale_inv": torch.float32}, "(fp8)"),
        ({PROJECTION + "qweight": torch.int32, PROJECTION + "g_idx": torch.int32}, "(GPTQ)"),
        ({PROJECTION + "qweight": torch.int32, PROJECTION + "qzeros": torch.int32}, "(AWQ or GPTQ)"),
        ({PROJECTION + "weight_packed": torch.int32, PROJECTION + "weight_scale": torch.bfloat16}, "(compressed-t"),
        ({PROJECTION + "weight": torch.uint8, PROJECTION + "weight.absmax": torch.float32}, "(bitsandbytes)"),
        ({PROJECTION + "weight": torch.int8, PROJECTION + "SCB": torch.float32}, "(bitsandbytes)"),
        (
            {"model.layers.0.mlp.experts.down_proj_blocks": torch.uint8, "m.down_proj_scales": torch.uint8},
            "is quantised (MXFP4): it holds 'm",
        ),
        ({PROJECTION + "weight": torch.int8}, f"it holds int8 tensors, such as '{PROJECTION}weight'"),
    ],
    ids=["fp8", "fp8 blocks", "gptq", "awq", "packed", "4 bits", "8 bits", "mxfp4", "unknown"],
)  # fmt: skip
def test_quantised_tensors(llama: Path, copy_of: Callable[..., Path], parts: dict[str, torch.dtype], said: str) -> None:
    """As they lie on disk, whatever the config says."""
    folder = copy_of(llama)

    def quantise(tensors: dict[str, torch.Tensor]) -> None:
        del tensors[PROJECTION + "weight"]
        tensors.update({name: torch.zeros(4, 4).to(dtype) for name, dtype in parts.items()})

    rewrite(folder, quantise)
    message = refused(folder)
    assert said in message
    assert "Merge the bf16, fp16 or fp32 original" in message


def test_the_remedy_for_fp8_is_one(tmp_path: Path) -> None:
    """What the refusal says to do gives a folder that opens, with the values that the quantised one had."""
    folder = tiny_llama(tmp_path / "fp8", 0, hidden=128)
    edit_json(
        folder / "config.json",
        quantization_config={"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]},
    )
    values = {}

    def quantise(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if name.endswith("_proj.weight")]:
            scales = torch.full([-(-size // 128) for size in tensors[name].shape], 0.5)
            tensors[name] = (tensors[name].float() / 0.5).to(torch.float8_e4m3fn)
            values[name] = tensors[name].float() * 0.5
            tensors[name.replace("weight", "weight_scale_inv")] = scales

    rewrite(folder, quantise)
    (call,) = re.findall(r"AutoModel.*", refused(folder))
    names = {name: getattr(transformers, name) for name in ("AutoModelForCausalLM", "FineGrainedFP8Config")}
    eval(call, {**names, "FOLDER": folder, "NEW_FOLDER": tmp_path / "new"})
    source = open_source(tmp_path / "new")
    assert values
    assert all(torch.equal(source.tensor(name).float(), value) for name, value in values.items())


def test_scales_of_weights_that_are_numbers_are_tensors_like_others(llama: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(llama)
    rewrite(folder, lambda tensors: tensors.update({HEAD + "weight_scale": torch.ones(1)}))
    assert HEAD + "weight_scale" in open_source(folder).specs


def test_broken_config(llama: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(llama)
    (folder / "config.json").write_text("{oops")
    assert "cannot be read as JSON" in refused(folder)


def test_missing_shard(sharded: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(sharded)
    gone = sorted(folder.glob("model-*.safetensors"))[1]
    gone.unlink()
    assert f"{gone.name}' is missing" in refused(folder)


def test_index_that_promises_too_much(sharded: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(sharded)
    path = folder / "model.safetensors.index.json"
    listed = json.loads(path.read_text())["weight_map"]
    edit_json(path, weight_map={**listed, "model.extra.weight": next(iter(listed.values()))})
    assert "'model.extra.weight'" in refused(folder)


def test_index_of_another_model_is_named_once(sharded: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(sharded)
    path = folder / "model.safetensors.index.json"
    listed = json.loads(path.read_text())["weight_map"]
    edit_json(path, weight_map={f"other.{name}": file for name, file in listed.items()})
    lines = refused(folder).splitlines()
    assert len(lines) == 6
    assert f"{path}' names {len(listed) - 5} more tensors" in lines[-1]


@pytest.mark.parametrize("name", ["model.safetensors", "model.safetensors.index.json"])
def test_weights_that_are_a_link_to_nothing(llama: Path, copy_of: Callable[..., Path], name: str) -> None:
    """A snapshot of the hub's cache that was copied without the files it links to."""
    folder = copy_of(llama)
    (folder / "model.safetensors").unlink()
    (folder / name).symlink_to("../../blobs/abc")
    assert f"{folder / name}' is a link to '../../blobs/abc', which is not there" in refused(folder)


def test_index_that_leaves_the_folder(sharded: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(sharded)
    edit_json(folder / "model.safetensors.index.json", weight_map={"a": "../../etc/secrets.safetensors"})
    assert "must lie in the folder itself" in refused(folder)


def test_shards_without_their_index(sharded: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(sharded)
    (folder / "model.safetensors.index.json").unlink()
    assert "shards (model-00001-of-" in refused(folder)


def test_weights_under_another_name(llama: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(llama)
    (folder / "model.safetensors").rename(folder / "model.fp16.safetensors")
    assert "it has model.fp16.safetensors. If that is the whole model, rename it to model.safetensors" in refused(
        folder
    )


@pytest.mark.parametrize(
    "index", ["{oops", "[]", '{"weight_map": ["a"]}', '{"weight_map": {"a": 1}}', '{"weight_map": {}}']
)
def test_broken_index(sharded: Path, copy_of: Callable[..., Path], index: str) -> None:
    folder = copy_of(sharded)
    (folder / "model.safetensors.index.json").write_text(index)
    assert str(folder / "model.safetensors.index.json") in refused(folder)


class TestTwoSetsOfWeights:
    """Where two sets of files could be meant, transformers takes one by a rule that nobody remembers."""

    def test_single_file_beside_shards(self, llama: Path, sharded: Path, copy_of: Callable[..., Path]) -> None:
        folder = copy_of(sharded)
        shutil.copy(llama / "model.safetensors", folder / "model.safetensors")
        message = refused(folder)
        assert "holds two sets of weights: model.safetensors, and" in message
        assert "model.safetensors.index.json" in message
        assert "model-00001-of-" in message

    def test_index_of_the_single_file(self, llama: Path, copy_of: Callable[..., Path]) -> None:
        folder = copy_of(llama)
        names = open_source(llama).specs
        index = {"metadata": {}, "weight_map": dict.fromkeys(names, "model.safetensors")}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        assert open_source(folder).specs.keys() == names.keys()

    @pytest.mark.parametrize(
        "name",
        ["consolidated.safetensors", "model.fp16.safetensors", "model-00001-of-00002.safetensors", "pytorch_model.bin"],
    )
    def test_what_transformers_never_looks_at(self, llama: Path, copy_of: Callable[..., Path], name: str) -> None:
        folder = copy_of(llama)
        (folder / name).write_bytes(b"never read")
        assert open_source(folder).fingerprint() == open_source(llama).fingerprint()
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
        assert torch.equal(model.lm_head.weight, open_source(folder).tensor("lm_head.weight"))

    def test_consolidated_copy_beside_shards(self, sharded: Path, copy_of: Callable[..., Path]) -> None:
        folder = copy_of(sharded)
        (folder / "consolidated.safetensors").write_bytes(b"never read")
        (folder / "model.safetensors.index.fp16.json").write_text("never read")
        assert open_source(folder).fingerprint() == open_source(sharded).fingerprint()

    def test_config_that_names_another_file(self, llama: Path, copy_of: Callable[..., Path]) -> None:
        folder = copy_of(llama)
        shutil.copy(llama / "model.safetensors", folder / "other.safetensors")
        edit_json(folder / "config.json", transformers_weights="other.safetensors")
        message = refused(folder)
        assert "names 'other.safetensors' as the weights" in message
        edit_json(folder / "config.json", transformers_weights="model.safetensors")
        assert open_source(folder).fingerprint() == open_source(llama).fingerprint()

    def test_config_that_names_other_configs(self, llama: Path, copy_of: Callable[..., Path]) -> None:
        folder = copy_of(llama)
        edit_json(folder / "config.json", configuration_files=["config.4.0.0.json"])
        assert "configuration_files" in refused(folder)


class TestFoldersThatAreNoModel:
    """A folder beside, above or like a model says which one to name."""

    def test_folder_above_the_models(self, llama: Path) -> None:
        message = refused(llama.parent)
        assert "folders in it have; name the one that is meant" in message
        assert repr(str(llama)) in message

    def test_hub_cache_of_a_model(self, llama: Path, tmp_path: Path) -> None:
        snapshot = tmp_path / "models--someone--tiny" / "snapshots" / "abc"
        shutil.copytree(llama, snapshot)
        assert repr(str(snapshot)) in refused(snapshot.parent.parent)

    def test_run_folder(self, tmp_path: Path) -> None:
        (tmp_path / "manifest.json").write_text("{}")
        (tmp_path / "records").mkdir()
        assert "is a run's folder, not a model. Export a member" in refused(tmp_path)

    @pytest.mark.parametrize(
        ("files", "reason"),
        [
            (["model.safetensors"], "has no config.json. Fetch it again"),
            (["params.json", "consolidated.safetensors"], "in the format of the model's makers"),
            (["adapter_model.bin", "adapter_config.json"], "is a LoRA adapter"),
            (["tf_model.h5"], "weights for another framework only (tf_model.h5)"),
            (["pytorch_model.bin"], "has no config.json; it has pickled weights"),
            (["notes.txt"], "has no config.json; it has neither model.safetensors nor"),
        ],
    )
    def test_other_files(self, tmp_path: Path, files: list[str], reason: str) -> None:
        for name in files:
            (tmp_path / name).write_text("{}")
        assert reason in refused(tmp_path)
