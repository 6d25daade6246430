"""Texts from anywhere: read only where they are files of a size that a text has, shown only as what they are.

Texts of ours are written so that a file is whole or not there.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

LARGEST = 128 << 20  # bytes; the largest tokenizers and indexes of shards have 40 MB
DEEPEST = 64  # levels of lists and objects; configs have five
_LONGEST = 2000  # characters
_EXPLOSIVE = re.compile(r"\([^()]*[+*}][^()]*\)[+*{]")


def read_text(path: str | os.PathLike[str], encoding: str = "utf-8") -> str:
    """Reads a whole file that somebody else may have written.

    Args:
        path: The file.
        encoding: Its encoding.

    Raises:
        OSError: If there is none, it is a pipe or a device, which may have no end, or it is larger than any text.
        ValueError: If it is not in that encoding.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe would wait for a writer
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if stat.S_ISDIR(about.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "it is a pipe, a socket or a device; expected a file", os.fspath(path))
        if about.st_size > LARGEST:
            raise OSError(errno.EFBIG, f"it has {about.st_size} bytes; expected at most {LARGEST}", os.fspath(path))
        # One more than was said, which a growing file may have.
        return file.read(LARGEST + 1).decode(encoding).replace("\r\n", "\n")


def named(error: OSError, path: Path) -> OSError:
    """The same error with the file that was to be written, of which a call that has only its number says nothing."""
    return error if error.errno is None else OSError(error.errno, error.strerror, str(path))


def write_text(path: Path, text: str) -> None:
    """Replaces a file in one step: a reader sees the old content or the new, never half of one."""
    write_lines(path, (text,))


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Replaces a file in one step by texts one after the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A random name: on a shared file system another machine's process may have this one's number.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise named(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


def too_deep(data: Any, deepest: int = DEEPEST) -> bool:
    """Whether lists and objects of a JSON value lie deeper inside each other than any reader needs.

    What is nested so deeply is read by some functions and overflows the stack of others.
    """
    level = [data] if isinstance(data, dict | list) else []
    for _ in range(deepest):
        level = [
            inner
            for value in level
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def printable(text: str) -> str:
    """A message as a terminal may show it: without control characters, which could do anything there, and no book."""
    shown = "".join(
        letter if letter.isprintable() or letter in "\n\t" else letter.encode("unicode_escape").decode()
        for letter in text
    )
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]} ... ({len(shown)} characters)"


def may_never_end(pattern: str) -> bool:
    """Whether a regular expression repeats a group with a repetition inside: matching may take exponential time."""
    return _EXPLOSIVE.search(pattern) is not None


def duration(seconds: float) -> str:
    """A length of time to two units, ``1 h 05 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
