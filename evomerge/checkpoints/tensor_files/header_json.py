"""The header of a safetensors file as strict JSON: eight bytes of length (little endian), then that much text."""

from __future__ import annotations

import json
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from evomerge.errors import InputError
from evomerge.texts import DEEPEST, too_deep

# The format's own bound, and far above any real model's; a larger length is a file of another format.
_LONGEST = 100_000_000
_METADATA = "__metadata__"


@dataclass(frozen=True)
class RawHeader:
    """A header as it is written.

    Attributes:
        size: Size of the whole file in bytes.
        start: Where the data starts in it.
        entries: Tensor name to its description, not yet checked.
        metadata: Texts about the file as a whole.
    """

    size: int
    start: int
    entries: dict[str, Any]
    metadata: dict[str, str]


def read_raw(path: Path) -> RawHeader:
    """Reads a header, without the data behind it.

    Args:
        path: The file.

    Raises:
        InputError: If the file is missing, too short, or does not begin with such a header.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            text = file.read(length) if length <= min(size, _LONGEST) else b""
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error
    if size < 8:
        raise InputError(f"{str(path)!r} has {size} bytes; a safetensors file has at least 8. Fetch it again")
    if length > _LONGEST or length == 0:
        raise InputError(
            f"{str(path)!r} is not a safetensors file: its first 8 bytes would mean a header of {length} bytes"
            + (" (it is a Git LFS pointer; run `git lfs pull`)" if start == b"version " else "")
        )
    if len(text) < length:
        raise InputError(
            f"{str(path)!r} is truncated: its header has {length} bytes, so the file needs more than {8 + length}, "
            f"but it has {size}. Fetch it again"
        )
    entries = _object(path, text)
    metadata = entries.pop(_METADATA, None)
    return RawHeader(size, 8 + length, entries, _texts(path, metadata))


def _object(path: Path, text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_without_repeats, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(
            f"{str(path)!r} is corrupt: its header of {len(text)} bytes is no JSON of such a file ({reason})"
        ) from error
    if too_deep(header):
        raise InputError(f"{str(path)!r} is corrupt: its header is nested more than {DEEPEST} deep")
    if not isinstance(header, dict):
        raise InputError(f"{str(path)!r} is corrupt: its header is a {type(header).__name__}, expected an object")
    return header


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; one that says two things under one name means something else to every reader, so it is refused."""
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        repeated = [repr(name) for name, count in counts.items() if count > 1]
        raise ValueError(f"{', '.join(repeated[:5])} is there more than once")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _texts(path: Path, metadata: Any) -> dict[str, str]:
    if metadata is None:
        return {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise InputError(f"{str(path)!r} is corrupt: {_METADATA} in its header is no mapping from names to texts")
    return metadata
