"""Sharded safetensors files, written with one tensor in memory at a time."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from evomerge.checkpoints.source import TensorSpec
from evomerge.checkpoints.tensor_files.header import DTYPES
from evomerge.checkpoints.unusable import INDEX, SINGLE

_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def plan_shards(specs: Mapping[str, TensorSpec], max_shard_bytes: int) -> dict[str, tuple[str, ...]]:
    """Assigns tensors to files.

    Args:
        specs: All tensors, in the order to fill the files in.
        max_shard_bytes: Most bytes of data in one file, unless a single tensor is larger.

    Returns:
        File name to names of its tensors. One file is called ``model.safetensors``; several carry their number.
    """
    shards: list[list[str]] = [[]]
    filled = 0
    for name, spec in specs.items():
        if shards[-1] and filled + spec.nbytes > max_shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += spec.nbytes
    if len(shards) == 1:
        return {SINGLE: tuple(shards[0])}
    count = len(shards)
    return {f"model-{i:05d}-of-{count:05d}.safetensors": tuple(names) for i, names in enumerate(shards, start=1)}


def write_shards(
    folder: Path,
    specs: Mapping[str, TensorSpec],
    stream: Iterable[tuple[str, torch.Tensor]],
    *,
    max_shard_bytes: int,
) -> None:
    """Writes tensors as they come into safetensors files, with an index where there are several.

    Args:
        folder: An existing folder.
        specs: Every tensor that will come, in the order to fill the files in.
        stream: The tensors, in any order, each once.
        max_shard_bytes: Most bytes of data in one file, unless a single tensor is larger.

    Raises:
        ValueError: If the stream does not give exactly what ``specs`` promises.
    """
    plan = plan_shards(specs, max_shard_bytes)
    place: dict[str, tuple[str, int]] = {}
    for file, names in plan.items():
        place |= {name: (file, offset) for name, offset in _start_file(folder / file, names, specs, {}).items()}
    missing = dict.fromkeys(specs)
    for name, tensor in stream:
        if name not in missing:
            raise ValueError(f"tensor {name!r} came twice or was not promised")
        spec = specs[name]
        if (tensor.dtype, tuple(tensor.shape)) != (spec.dtype, spec.shape):
            raise ValueError(f"tensor {name!r} came as {tensor.dtype} {tuple(tensor.shape)}, promised was {spec}")
        del missing[name]
        file, offset = place[name]
        _write(folder / file, offset, tensor)
    if missing:
        raise ValueError(f"{len(missing)} tensors never came, first {next(iter(missing))!r}")
    if len(plan) > 1:
        _write_index(folder, plan, specs)


def write_file(
    path: Path, specs: Mapping[str, TensorSpec], tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]
) -> None:
    """Writes tensors that are all at hand into one safetensors file.

    Args:
        path: The file.
        specs: Of all tensors.
        tensors: The tensors.
        metadata: Texts about the file as a whole.
    """
    for name, offset in _start_file(path, tensors, specs, metadata).items():
        _write(path, offset, tensors[name])


def _start_file(
    path: Path, names: Iterable[str], specs: Mapping[str, TensorSpec], metadata: Mapping[str, str]
) -> dict[str, int]:
    """Writes the header, makes room for the data, and returns where each tensor starts in the file."""
    # Widest elements first: every tensor then starts at a multiple of its element size.
    ordered = sorted(names, key=lambda name: -specs[name].dtype.itemsize)
    header: dict[str, object] = {"__metadata__": {"format": "pt", **metadata}}
    offsets = {}
    position = 0
    for name in ordered:
        spec = specs[name]
        offsets[name] = position
        header[name] = {
            "dtype": _NAMES[spec.dtype],
            "shape": list(spec.shape),
            "data_offsets": [position, position + spec.nbytes],
        }
        position += spec.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + position)
    return {name: 8 + len(text) + offset for name, offset in offsets.items()}


def _write(path: Path, offset: int, tensor: torch.Tensor) -> None:
    data = tensor.detach().to("cpu").contiguous().reshape(-1)
    if data.numel():
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(data.view(torch.uint8).numpy().data)


def _write_index(folder: Path, plan: Mapping[str, Iterable[str]], specs: Mapping[str, TensorSpec]) -> None:
    index = {
        "metadata": {
            "total_parameters": sum(math.prod(spec.shape) for spec in specs.values()),
            "total_size": sum(spec.nbytes for spec in specs.values()),
        },
        "weight_map": dict(sorted((name, file) for file, names in plan.items() for name in names)),
    }
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
