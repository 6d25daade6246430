"""Array files shared between processes: written atomically, verified when mapped.

The format is safetensors. Metadata in the header name the origin of the arrays and hold a digest of their values.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

import torch

from evomerge.checkpoints.source import TensorSpec
from evomerge.checkpoints.tensor_files.header import read_header, read_metadata
from evomerge.checkpoints.tensor_files.mapped import content_digest, map_file, mapped
from evomerge.checkpoints.tensor_files.shards import write_file
from evomerge.errors import InputError

_DIGEST = "sha256"


def write_arrays(path: Path, arrays: Mapping[str, torch.Tensor], about: Mapping[str, str]) -> None:
    """Writes one file atomically: it appears under its name when it is complete.

    Args:
        path: The file, in an existing folder.
        arrays: Contiguous, on the CPU, by name.
        about: The origin of the arrays: texts by name.

    Raises:
        OSError: If the disk is full or cannot be written to; nothing is left behind.
    """
    specs = {name: TensorSpec(array.dtype, tuple(array.shape)) for name, array in arrays.items()}
    metadata = {**about, _DIGEST: content_digest(arrays, arrays.__getitem__)}
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        write_file(unfinished, specs, arrays, metadata)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def map_arrays(path: Path, about: Mapping[str, str]) -> dict[str, torch.Tensor]:
    """Maps the arrays of a file that :func:`write_arrays` wrote, after one pass that verifies their digest.

    Args:
        path: The file.
        about: The origin that the file must name.

    Returns:
        The arrays by name, views of the mapped file, to be read only.

    Raises:
        InputError: If the file is missing, broken, of something else, or not as it was written.
    """
    infos = read_header(path)
    metadata = read_metadata(path)
    other = [name for name, text in about.items() if metadata.get(name) != text]
    if other:
        raise InputError(
            f"{str(path)!r} holds arrays of another origin: its {other[0]} is {metadata.get(other[0])!r}, "
            f"expected was {about[other[0]]!r}"
        )
    storage = map_file(path)
    arrays = {name: mapped(storage, info) for name, info in infos.items()}
    if content_digest(arrays, arrays.__getitem__) != metadata.get(_DIGEST):
        raise InputError(f"{str(path)!r} is corrupt: its values are not those that were written")
    return arrays
