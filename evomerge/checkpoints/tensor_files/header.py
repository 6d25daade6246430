"""The tensors of a safetensors file, described by its header alone.

The rules are the format's own: every byte of the data belongs to exactly one tensor, and every size follows from a
shape and a type. All that can be wrong with a file short of the values themselves shows here, so a broken download is
named before any work starts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from evomerge.checkpoints.source import TensorSpec
from evomerge.checkpoints.tensor_files.header_json import RawHeader, read_raw
from evomerge.errors import InputError

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
# Known to the format and of no use here: complex numbers, and types of quantised weights narrower than a byte or rare.
_UNUSABLE = {"C64", "F4", "F6_E2M3", "F6_E3M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"}
_LARGEST = 2**63 - 1
_SHOWN = 5


@dataclass(frozen=True)
class TensorInfo(TensorSpec):
    """One tensor of a file.

    Attributes:
        dtype: Element type.
        shape: Sizes, empty for a scalar.
        file: The file that holds it.
        offset: Where its data starts in that file, in bytes.
    """

    file: Path
    offset: int


def read_header(path: Path) -> dict[str, TensorInfo]:
    """Reads the header of a safetensors file, without its data.

    Args:
        path: The file.

    Returns:
        Tensor name to description, in the order of the data in the file.

    Raises:
        InputError: If the file is missing, is not of this format, or its header does not describe each byte of the
            data exactly once; all problems.
    """
    raw = read_raw(path)
    tensors: dict[str, TensorInfo] = {}
    problems: list[str] = []
    for name, entry in raw.entries.items():
        try:
            tensors[name] = _tensor(path, raw.start, entry)
        except ValueError as error:
            problems.append(f"{str(path)!r} is corrupt: the header entry of tensor {name!r} is not usable ({error})")
    ordered = dict(sorted(tensors.items(), key=lambda item: (item[1].offset, item[1].nbytes)))
    # Where an entry cannot be used, the bytes it stands for would only seem to be nobody's.
    problems = problems or _coverage_problems(path, raw, ordered)
    if problems:
        raise InputError(problems)
    return ordered


def read_metadata(path: Path) -> dict[str, str]:
    """The texts that a safetensors file's header holds about the file as a whole, by name.

    Raises:
        InputError: If the file is missing or its header cannot be read.
    """
    return read_raw(path).metadata


def _tensor(path: Path, start: int, entry: Any) -> TensorInfo:
    if not isinstance(entry, dict):
        raise ValueError(f"it is a {type(entry).__name__}, expected an object")
    for field in ("dtype", "shape", "data_offsets"):
        if field not in entry:
            raise ValueError(f"it has no {field}")
    name = entry["dtype"]
    if not isinstance(name, str) or name not in DTYPES:
        known = isinstance(name, str) and name in _UNUSABLE
        merged = "; merge the bf16, fp16 or fp32 original"
        raise ValueError(f"dtype {name} is quantised or complex{merged}" if known else f"unknown dtype {name!r}")
    shape, offsets = _sizes(entry, "shape"), _sizes(entry, "data_offsets")
    if len(offsets) != 2:
        raise ValueError(f"data_offsets are {list(offsets)}, expected the first and the last")
    dtype = DTYPES[name]
    # A zero among the sizes does not make the product of the others representable.
    if math.prod(max(size, 1) for size in shape) * dtype.itemsize > _LARGEST:
        raise ValueError(f"shape {list(shape)} is too large")
    expected = math.prod(shape) * dtype.itemsize
    first, last = offsets
    if last - first != expected:
        raise ValueError(f"shape {list(shape)} of {name} needs {expected} bytes, it has {last - first}")
    return TensorInfo(dtype, shape, path, start + first)


def _sizes(entry: Mapping[str, Any], field: str) -> tuple[int, ...]:
    sizes = entry[field]
    if not isinstance(sizes, list) or not all(type(size) is int for size in sizes):
        raise ValueError(f"{field} is {str(sizes)[:100]}, expected a list of whole numbers")
    if any(size < 0 for size in sizes):
        raise ValueError(f"negative number in {field} {sizes}")
    return tuple(sizes)


def _coverage_problems(path: Path, raw: RawHeader, ordered: Mapping[str, TensorInfo]) -> list[str]:
    """Bytes of the data that belong to several tensors, or to none."""
    found = []
    end, before = raw.start, ""
    for name, info in ordered.items():
        if info.offset < end:
            found.append(f"the data of tensor {name!r} overlaps that of {before!r} by {end - info.offset} bytes")
        elif info.offset > end:
            found.append(f"{info.offset - end} bytes before the data of tensor {name!r} belong to no tensor")
        if info.offset + info.nbytes >= end:
            end, before = info.offset + info.nbytes, name
    problems = [f"{str(path)!r} is corrupt: {text}" for text in found[:_SHOWN]]
    if len(found) > _SHOWN:
        problems.append(f"{str(path)!r} is corrupt: {len(found) - _SHOWN} more of its tensors overlap or leave gaps")
    if end > raw.size:
        problems.append(
            f"{str(path)!r} is truncated: its header describes {end} bytes, but the file has {raw.size}. Fetch it again"
        )
    elif end < raw.size:
        problems.append(
            f"{str(path)!r} is corrupt: it has {raw.size} bytes, but its header describes {end}; the last "
            f"{raw.size - end} belong to no tensor. Fetch it again"
        )
    return problems
