"""A broken weight file is named, with the bytes it has and should have, before anything reads it."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from evomerge.checkpoints import open_source, read_header
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
        ({"dtype": ["F32"], "shape": [2], "data_offsets": [0, 8]}, "unknown dtype"),
        ({"dtype": "F4", "shape": [16], "data_offsets": [0, 8]}, "F4 is quantised or complex"),
        ({"dtype": "F32", "shape": [2.0], "data_offsets": [0, 8]}, "expected a list of whole numbers"),
        ({"dtype": "F32", "shape": [True, 2], "data_offsets": [0, 8]}, "expected a list of whole numbers"),
        ({"dtype": "F32", "shape": "2", "data_offsets": [0, 8]}, "expected a list of whole numbers"),
        ({"dtype": "F32", "shape": None, "data_offsets": [0, 8]}, "expected a list of whole numbers"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 8, 8]}, "expected the first and the last"),
        ({"dtype": "F32", "shape": [0], "data_offsets": [8, 0]}, "needs 0 bytes, it has -8"),
        ({"dtype": "F32", "shape": [2**62, 2, 0], "data_offsets": [0, 0]}, "too large"),
        ({"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 8]}, "too large"),
        ({"shape": [2], "data_offsets": [0, 8]}, "it has no dtype"),
        (None, "expected an object"),
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


class TestEveryByteBelongsToOneTensor:
    """The format's own rule, which a file put together by hand, or cut and glued by a download, may break."""

    def entry(self, first: int, last: int) -> dict[str, object]:
        return {"dtype": "U8", "shape": [last - first], "data_offsets": [first, last]}

    @pytest.mark.parametrize(
        ("places", "size", "reason"),
        [
            ({"a": (0, 4), "b": (2, 6)}, 6, "the data of tensor 'b' overlaps that of 'a' by 2 bytes"),
            ({"a": (0, 4), "b": (0, 4)}, 4, "overlaps that of 'a' by 4 bytes"),
            ({"a": (0, 8), "b": (2, 4), "c": (6, 8)}, 8, "the data of tensor 'c' overlaps that of 'a'"),
            ({"a": (0, 4), "b": (6, 8)}, 8, "2 bytes before the data of tensor 'b' belong to no tensor"),
            ({"a": (1, 4)}, 4, "1 bytes before the data of tensor 'a' belong to no tensor"),
            ({"a": (0, 4)}, 7, "the last 3 belong to no tensor"),
            ({}, 3, "the last 3 belong to no tensor"),
        ],
    )
    def test_refused(self, tmp_path: Path, places: dict[str, tuple[int, int]], size: int, reason: str) -> None:
        header = {name: self.entry(*place) for name, place in places.items()}
        assert reason in problems_of(written(tmp_path / "x.safetensors", header, b"\0" * size))

    def test_the_order_in_the_header_is_free(self, tmp_path: Path) -> None:
        header = {"b": self.entry(4, 6), "empty": self.entry(4, 4), "a": self.entry(0, 4)}
        found = read_header(written(tmp_path / "x.safetensors", header, b"\0" * 6))
        assert list(found) == ["a", "empty", "b"]

    def test_many_are_not_a_long_list(self, tmp_path: Path) -> None:
        header = {str(index): self.entry(0, 4) for index in range(50)}
        with pytest.raises(InputError) as caught:
            read_header(written(tmp_path / "x.safetensors", header, b"\0" * 4))
        assert len(caught.value.problems) == 6
        assert "44 more of its tensors" in caught.value.problems[-1]


ENTRY = b'{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"a":' + ENTRY + b',"a":' + ENTRY + b"}", "'a' is there more than once"),
        (b'{"a":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}}', "'shape' is there more than once"),
        (b'{"a":{"dtype":"U8","shape":[NaN],"data_offsets":[0,1]}}', "NaN is no JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"__metadata__":{"format":1},"a":' + ENTRY + b"}", "no mapping from names to texts"),
        (b'{"__metadata__":["pt"],"a":' + ENTRY + b"}", "no mapping from names to texts"),
        (b'{"a":{"dtype":"U8","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,1]}}', "no JSON of such a file"),
    ],
)
def test_json_that_readers_could_take_for_different_things(tmp_path: Path, text: bytes, reason: str) -> None:
    assert reason in problems_of(written(tmp_path / "x.safetensors", text, b"\0"))


def test_no_stricter_and_no_laxer_than_the_library(tmp_path: Path) -> None:
    """Random damage to a real header: whatever the library refuses is refused here, with the file's name.

    The other way round only names that are there twice, which the library merges silently, may differ.
    """
    save_file({"a": torch.zeros(2, 3), "b": torch.zeros(5).half()}, tmp_path / "x.safetensors")
    whole = (tmp_path / "x.safetensors").read_bytes()
    length = 8 + struct.unpack("<Q", whole[:8])[0]
    rng = random.Random(0)
    refused = 0
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 2)):
            data[rng.randrange(8, length)] = rng.choice(b'0123456789,:"[]{}FBUI -.')
        if rng.random() < 0.2:
            data += bytes(rng.randrange(3))
        path = tmp_path / "damaged.safetensors"
        path.write_bytes(data)
        try:
            expected = {name: tuple(tensor.shape) for name, tensor in load_file(path).items()}
        except SafetensorError:
            refused += 1
            assert str(path) in problems_of(path)
            continue
        assert {name: info.shape for name, info in read_header(path).items()} == expected
    assert 100 < refused < 400


def test_all_unusable_entries_at_once(tmp_path: Path) -> None:
    bad = {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}
    with pytest.raises(InputError) as caught:
        read_header(written(tmp_path / "x.safetensors", {"one": bad, "two": bad}))
    assert len(caught.value.problems) == 2


def test_opening_names_every_broken_file(sharded: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(sharded)
    files = sorted(folder.glob("*.safetensors"))
    assert len(files) >= 3
    for path in files[:2]:
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError) as caught:
        open_source(folder)
    assert len(caught.value.problems) == 2
    assert all(path.name in str(caught.value) for path in files[:2])
