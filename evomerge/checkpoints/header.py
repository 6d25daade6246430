"""What a safetensors file says about its tensors, read from its header alone.

The format is eight bytes of header length (little endian), that many bytes of JSON, then the data. Everything that can
be wrong with a file short of the values themselves shows here, so a broken download is named before any work starts.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from evomerge.errors import InputError

# No header of a real model comes near this; a larger length is a file of another format.
_LONGEST_HEADER = 100_000_000

# Names as the format writes them. The 8-bit floats are here to be recognised and refused by name, not to be merged.
DTYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a checkpoint, as its file's header describes it.

    Attributes:
        dtype: Element type.
        shape: Sizes, empty for a scalar.
        nbytes: Size of the data in bytes.
        file: The file that holds it.
        offset: Where its data starts in that file, in bytes.
    """

    dtype: torch.dtype
    shape: tuple[int, ...]
    nbytes: int
    file: Path
    offset: int

    @property
    def numel(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


def read_header(path: Path) -> dict[str, TensorInfo]:
    """Reads the header of a safetensors file, without its data.

    Args:
        path: The file.

    Returns:
        Tensor name to description, in the order of the data in the file.

    Raises:
        InputError: If the file is missing, too short for what its header promises, or not of this format.
    """
    size, start, header = _read(path)
    header.pop("__metadata__", None)
    return _tensors(path, size, start, header)


def read_metadata(path: Path) -> dict[str, str]:
    """What a safetensors file's header says about the file as a whole: texts by name, none where it says nothing.

    Raises:
        InputError: If the file is missing or its header cannot be read.
    """
    metadata = _read(path)[2].get("__metadata__", {})
    return metadata if isinstance(metadata, dict) else {}


def _read(path: Path) -> tuple[int, int, dict[str, Any]]:
    """The size of a file, where its data starts, and its header."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            text = file.read(length) if length <= min(size, _LONGEST_HEADER) else b""
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error
    if size < 8:
        raise InputError(f"{str(path)!r} has {size} bytes; a safetensors file has at least 8. Fetch it again")
    if length > _LONGEST_HEADER or length == 0:
        raise InputError(
            f"{str(path)!r} is not a safetensors file: its first 8 bytes would mean a header of {length} bytes"
            + (" (it is a Git LFS pointer; run `git lfs pull`)" if start == b"version " else "")
        )
    if len(text) < length:
        raise InputError(
            f"{str(path)!r} is truncated: its header has {length} bytes, so the file needs more than {8 + length}, "
            f"but it has {size}. Fetch it again"
        )
    return size, 8 + length, _header_json(path, text)


def _header_json(path: Path, text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{str(path)!r} is corrupt: its header of {len(text)} bytes is not JSON ({error})") from error
    if not isinstance(header, dict):
        raise InputError(f"{str(path)!r} is corrupt: its header is a {type(header).__name__}, expected an object")
    return header


def _tensors(path: Path, size: int, start: int, header: Mapping[str, Any]) -> dict[str, TensorInfo]:
    tensors: dict[str, TensorInfo] = {}
    problems: list[str] = []
    for name, entry in header.items():
        try:
            info = _tensor(path, start, entry)
        except (KeyError, TypeError, ValueError) as error:
            problems.append(f"{str(path)!r} is corrupt: the header entry of tensor {name!r} is not usable ({error})")
        else:
            tensors[name] = info
    needed = max((info.offset + info.nbytes for info in tensors.values()), default=start)
    if needed > size:
        problems.append(
            f"{str(path)!r} is truncated: its header describes {needed} bytes, but the file has {size}. Fetch it again"
        )
    if problems:
        raise InputError(problems)
    return dict(sorted(tensors.items(), key=lambda item: item[1].offset))


def _tensor(path: Path, start: int, entry: Mapping[str, Any]) -> TensorInfo:
    if entry["dtype"] not in DTYPES:
        raise ValueError(f"unknown dtype {entry['dtype']!r}")
    dtype = DTYPES[entry["dtype"]]
    shape = tuple(int(size) for size in entry["shape"])
    first, last = (int(offset) for offset in entry["data_offsets"])
    if min((first, *shape), default=0) < 0:
        raise ValueError(f"negative size in shape {list(shape)} or offset {first}")
    expected = math.prod(shape) * dtype.itemsize
    if last - first != expected:
        raise ValueError(f"shape {list(shape)} of {entry['dtype']} needs {expected} bytes, it has {last - first}")
    return TensorInfo(dtype, shape, expected, path, start + first)
