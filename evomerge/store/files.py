"""Files that are either whole or not there, and logs that survive a kill."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

from evomerge.errors import InputError
from evomerge.texts import named, write_lines, write_text

__all__ = [
    "Log",
    "damaged",
    "drop_torn_tail",
    "drop_zeros",
    "read_lines",
    "settle",
    "write_json",
    "write_lines",
    "write_text",
]

_BLOCK = 1 << 16  # bytes that are looked at together for the end of the last whole line
_UNSAFE = 1 << 20  # bytes that are ever written to a log of lines without waiting for the disk, and more
T = TypeVar("T")


def write_json(path: Path, data: Any) -> None:
    """Writes indented JSON with :func:`write_text`."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def settle(folder: Path) -> None:
    """Waits until the names of files in a folder are on disk, where the file system knows how to."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


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

        Raises:
            OSError: If they cannot be written, for example because the disk is full; what had been written of them is
                cut off again, so that lines appended later are whole.
        """
        if self._file is None:
            new = not self.path.exists()
            # Without a buffer, which would write what has failed when the file is closed.
            self._file = self.path.open("ab", buffering=0)
            if new:
                settle(self.path.parent)  # else a power cut may take the whole file, and leave others that refer to it
        descriptor = self._file.fileno()
        before = os.fstat(descriptor).st_size
        written = 0
        try:
            while written < len(data):
                written += os.write(descriptor, memoryview(data)[written:])
            if sync:
                os.fsync(descriptor)
        except BaseException as error:
            with contextlib.suppress(OSError):
                # Unless the lease was lost while this waited for the disk, and a successor has appended since.
                if os.fstat(descriptor).st_size == before + written:
                    os.ftruncate(descriptor, before)
            if isinstance(error, OSError):
                raise named(error, self.path) from error
            raise
        return before

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def drop_torn_tail(path: Path, *, zeros: bool = False) -> int:
    """Cuts off a last line that has no end: the trace of a kill in the middle of a write.

    Args:
        path: The file; it need not be there.
        zeros: Whether to cut off what `drop_zeros` does as well.

    Returns:
        The number of bytes dropped.
    """
    if not path.exists():
        return 0
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        whole = _end_of_last_line(file, size)
        if whole < size:
            file.truncate(whole)
            os.fsync(file.fileno())
    return size - whole + (drop_zeros(path) if zeros else 0)


def drop_zeros(path: Path) -> int:
    """Cuts off lines at the end from the first one with a zero byte on: the trace of a power cut.

    A file may have grown on disk while what was written there had not come; nothing that was waited for is among it,
    and no line has a zero byte of its own. Zeros further ahead are something else, and stay for the reader to refuse.

    Returns:
        The number of bytes dropped.
    """
    if not path.exists():
        return 0
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(size - _UNSAFE, 0)
        file.seek(start)
        place = file.read().find(b"\0")
        if place < 0:
            return 0
        whole = _end_of_last_line(file, start + place)
        file.truncate(whole)
        os.fsync(file.fileno())
    return size - whole


def _end_of_last_line(file: IO[bytes], size: int) -> int:
    """Where the last line that has an end ends; read from the back, as files of responses are large."""
    end = size
    while end > 0:
        start = max(end - _BLOCK, 0)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def read_lines(path: Path, parse: Callable[[str], T]) -> Iterator[T]:
    """Reads every line that is complete; a torn last line is not read, nor what a power cut has left of others.

    Args:
        path: The file; one that is not there has no lines.
        parse: Reads one line, without its end.

    Raises:
        InputError: If a line is not what it should be, naming it.
    """
    if not path.exists():
        return
    read = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                parsed = parse(line[:-1].decode())
                read += len(line)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                if b"\0" in line and os.fstat(file.fileno()).st_size - read <= _UNSAFE:
                    return  # see `drop_zeros`
                raise InputError(damaged(f"line {number} of {path}", error)) from error
            yield parsed


def damaged(place: str, error: Exception) -> str:
    """The message about a place in a run's folder that holds something else than evomerge writes there."""
    reason = f"there is no {error}" if isinstance(error, KeyError) else str(error)
    return f"{place} is damaged, though not by an interruption: {reason}. Take the file from a copy of the run's folder"
