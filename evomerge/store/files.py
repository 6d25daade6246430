"""Files that are either whole or not there, and logs that survive a kill."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any


def write_text(path: Path, text: str) -> None:
    """Replaces a file in one step: a reader sees the old content or the new, never half of one."""
    write_lines(path, (text,))


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Replaces a file in one step by texts one after the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, data: Any) -> None:
    """Writes indented JSON with :func:`write_text`."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


class Log:
    """A file of lines that is appended to by one process; it is opened when the first line comes.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None

    def append(self, data: bytes, *, sync: bool = True) -> int:
        """Appends bytes.

        Args:
            data: Whole lines.
            sync: Whether to wait until they are on disk; what is not waited for may be lost, or torn, by a crash.

        Returns:
            The offset at which they start.
        """
        if self._file is None:
            self._file = self.path.open("ab")
        start = self._file.tell()
        self._file.write(data)
        self._file.flush()
        if sync:
            os.fsync(self._file.fileno())
        return start

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


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


def whole_lines(path: Path) -> Iterator[str]:
    """Yields every line that is complete, without its end; a torn last line is not read."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line[:-1].decode()
