"""Files that are either whole or not there, and logs that survive a kill."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str) -> None:
    """Replaces a file in one step: a reader sees the old content or the new, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, data: Any) -> None:
    """Writes indented JSON with :func:`write_text`."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def append_synced(path: Path, data: bytes) -> int:
    """Appends bytes and waits until they are on disk.

    Returns:
        The offset at which they start.
    """
    with path.open("ab") as file:
        start = file.tell()
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return start


def drop_torn_tail(path: Path) -> int:
    """Cuts off a last line that has no end: the trace of a kill in the middle of a write.

    Returns:
        The number of bytes dropped.
    """
    if not path.exists():
        return 0
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole == len(data):
        return 0
    with path.open("r+b") as file:
        file.truncate(whole)
        os.fsync(file.fileno())
    return len(data) - whole


def whole_lines(path: Path) -> Iterator[Any]:
    """Yields the JSON of every line that is complete; a torn last line is not read."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)
