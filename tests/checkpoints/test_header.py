"""A broken weight file is named, with the bytes it has and should have, before anything reads it."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from evomerge.checkpoints import read_header
from evomerge.errors import InputError


def written(path: Path, header: object, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def problems_of(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_header(path)
    message = str(caught.value)
    assert str(path) in message
    return message


def test_agrees_with_the_library(tmp_path: Path) -> None:
    tensors = {
        "a": torch.randn(3, 4),
        "b": torch.randn(5).to(torch.bfloat16),
        "scalar": torch.tensor(2.5, dtype=torch.float16),
        "empty": torch.zeros(0, 7),
        "ids": torch.arange(6).reshape(2, 3),
        "mask": torch.tensor([True, False]),
    }
    save_file(tensors, tmp_path / "x.safetensors", metadata={"format": "pt"})
    found = read_header(tmp_path / "x.safetensors")
    assert {name: (info.dtype, info.shape) for name, info in found.items()} == {
        name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in load_file(tmp_path / "x.safetensors").items()
    }
    assert all(info.nbytes == tensors[name].nbytes for name, info in found.items())


def test_missing_file(tmp_path: Path) -> None:
    assert "cannot be read" in problems_of(tmp_path / "none.safetensors")


@pytest.mark.parametrize("size", [0, 5])
def test_shorter_than_the_length(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"\0" * size)
    assert f"has {size} bytes" in problems_of(path)


def test_cut_anywhere_is_noticed(llama: Path, tmp_path: Path) -> None:
    whole = (llama / "model.safetensors").read_bytes()
    header = 8 + struct.unpack("<Q", whole[:8])[0]
    for size in (8, 20, header - 1, header, header + 1, len(whole) // 2, len(whole) - 1):
        path = tmp_path / "cut.safetensors"
        path.write_bytes(whole[:size])
        message = problems_of(path)
        assert "truncated" in message
        assert str(size) in message


def test_says_how_many_bytes_are_missing(llama: Path, tmp_path: Path) -> None:
    whole = (llama / "model.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-10])
    message = problems_of(tmp_path / "cut.safetensors")
    assert f"describes {len(whole)} bytes" in message
    assert f"has {len(whole) - 10}" in message


def test_other_formats(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"PK\x03\x04" + b"\xff" * 100)
    assert "not a safetensors file" in problems_of(path)
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n")
    assert "git lfs pull" in problems_of(path)


@pytest.mark.parametrize("text", [b"{nonsense", b"\xff\xfe\xfd\xfc", b"[1, 2]"])
def test_header_that_is_no_object(tmp_path: Path, text: bytes) -> None:
    assert "corrupt" in problems_of(written(tmp_path / "x.safetensors", text))


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}, "needs 8 bytes"),
        ({"dtype": "F3", "shape": [2], "data_offsets": [0, 8]}, "unknown dtype 'F3'"),
        ({"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}, "negative"),
        ({"dtype": "F32", "shape": [2]}, "data_offsets"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}, "negative"),
        ("F32", "not usable"),
    ],
)
def test_unusable_entries(tmp_path: Path, entry: object, reason: str) -> None:
    good = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    path = written(tmp_path / "x.safetensors", {"good": good, "bad": entry}, b"\0" * 8)
    message = problems_of(path)
    assert "'bad'" in message
    assert "'good'" not in message
    assert reason in message


def test_all_unusable_entries_at_once(tmp_path: Path) -> None:
    bad = {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}
    with pytest.raises(InputError) as caught:
        read_header(written(tmp_path / "x.safetensors", {"one": bad, "two": bad}))
    assert len(caught.value.problems) == 2


def test_opening_names_every_broken_file(sharded: Path, copy_of: Callable[..., Path]) -> None:
    from evomerge.checkpoints import Checkpoint

    folder = copy_of(sharded)
    files = sorted(folder.glob("*.safetensors"))
    assert len(files) >= 3
    for path in files[:2]:
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError) as caught:
        Checkpoint.open(folder)
    assert len(caught.value.problems) == 2
    assert all(path.name in str(caught.value) for path in files[:2])
