"""Written files are read back by the library, in any order of writing, and promises are kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from evomerge.checkpoints import TensorSpec, open_source, write_shards
from evomerge.errors import InputError
from evomerge.settings import parse_size

TENSORS = {
    "a": torch.randn(10, 10, generator=torch.Generator().manual_seed(0)),
    "flags": torch.tensor([True, False, True]),
    "b": torch.randn(33, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16),
    "ids": torch.arange(5),
    "scalar": torch.tensor(2.5),
    "empty": torch.zeros(0, 4),
}
SPECS = {name: TensorSpec(tensor.dtype, tuple(tensor.shape)) for name, tensor in TENSORS.items()}


def read_back(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()}


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("most", [10**9, 450, 100, 1])
def test_round_trip(tmp_path: Path, most: int, backwards: bool) -> None:
    order = list(TENSORS.items())[:: -1 if backwards else 1]
    write_shards(tmp_path, SPECS, order, max_shard_bytes=most)
    found = read_back(tmp_path)
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert torch.equal(found[name], tensor)
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape


def test_one_file_is_called_so_and_has_no_index(tmp_path: Path) -> None:
    write_shards(tmp_path, SPECS, TENSORS.items(), max_shard_bytes=10**9)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    with safe_open(tmp_path / "model.safetensors", framework="pt") as opened:
        assert opened.metadata() == {"format": "pt"}


def test_several_files_and_their_index(tmp_path: Path) -> None:
    write_shards(tmp_path, SPECS, TENSORS.items(), max_shard_bytes=450)
    files = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert files == [f"model-{i:05d}-of-{len(files):05d}.safetensors" for i in range(1, len(files) + 1)]
    assert len(files) == 2
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in TENSORS.values())
    assert index["metadata"]["total_parameters"] == sum(tensor.numel() for tensor in TENSORS.values())
    for name, file in index["weight_map"].items():
        assert name in load_file(tmp_path / file)
    (tmp_path / "config.json").write_text("{}")
    assert open_source(tmp_path).specs.keys() == TENSORS.keys()


def test_no_file_is_larger_than_asked_unless_one_tensor_is(tmp_path: Path) -> None:
    write_shards(tmp_path, SPECS, TENSORS.items(), max_shard_bytes=150)
    for path in tmp_path.glob("*.safetensors"):
        held = load_file(path)
        assert len(held) == 1 or sum(tensor.nbytes for tensor in held.values()) <= 150


def test_views_that_are_not_contiguous(tmp_path: Path) -> None:
    tensor = TENSORS["a"].T[::2]
    write_shards(tmp_path, {"t": TensorSpec(tensor.dtype, tuple(tensor.shape))}, [("t", tensor)], max_shard_bytes=10**9)
    assert torch.equal(read_back(tmp_path)["t"], tensor)


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        ([("a", TENSORS["a"])], "never came"),
        ([*TENSORS.items(), ("a", TENSORS["a"])], "came twice"),
        ([("other", TENSORS["a"])], "not promised"),
        ([("a", TENSORS["a"].half())], "promised was"),
        ([("a", TENSORS["a"][:5])], "promised was"),
    ],
)
def test_broken_promises(tmp_path: Path, stream: list[tuple[str, torch.Tensor]], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        write_shards(tmp_path, SPECS, stream, max_shard_bytes=10**9)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("5GB", 5 * 10**9),
        ("5B", 5 * 10**9),
        ("500M", 5 * 10**8),
        ("100KB", 10**5),
        ("1.5g", 15 * 10**8),
        (1234, 1234),
        ("2TB", 2 * 10**12),
        ("2 GiB", 2**31),
        ("0.5mib", 2**19),
        ("4Ki", 4096),
        ("7b", 7 * 10**9),
    ],
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "big", "5PB", "5iB", "5BiB", "-1", "0", 0, "5 GB or so"])
def test_what_is_no_size(text: str | int) -> None:
    with pytest.raises(InputError, match="is not a size"):
        parse_size(text)
