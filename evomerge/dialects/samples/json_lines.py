"""Strict reading of JSON Lines of any size: every damaged line is named."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evomerge.errors import InputError
from evomerge.texts import LARGEST, read_text, too_deep

_SHOWN = 3  # damaged lines that are told one by one
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def json_lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Objects of a JSON Lines file with the numbers of their lines; empty lines are skipped.

    A file that is one list of objects, as lm-eval wrote before 0.4.3, gives these with their places.

    Raises:
        InputError: If the file cannot be read, is empty, or has lines that are no JSON objects: file, line and reason.
    """
    if listed := _listed(path):
        return listed
    found: list[tuple[int, dict[str, Any]]] = []
    problems: list[str] = []
    for number, raw in _lines(path):
        try:
            value = json.loads(raw.decode())
            problem = None if isinstance(value, dict) else f"expected a JSON object, came {type(value).__name__}"
            problem = "nested too deeply" if problem is None and too_deep(value) else problem
        except UnicodeDecodeError:
            problem = "it is not UTF-8"
        except (ValueError, RecursionError) as error:
            problem = (
                f"no JSON object ({error.msg if isinstance(error, json.JSONDecodeError) else 'nested too deeply'})"
            )
        if problem is None:
            found.append((number, value))
        else:
            problems.append(f"{path}, line {number}: {problem}; the file is damaged or cut off, write it again")
    if len(problems) > _SHOWN:
        problems = [*problems[:_SHOWN], f"{path}: {len(problems) - _SHOWN} more of its lines are no better"]
    if problems:
        raise InputError(problems)
    if not found:
        raise InputError(f"{path} is empty; expected one JSON object per line")
    return found


def _listed(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """The objects of a file that is one list of them; empty for any other file."""
    try:
        if not path.is_file():
            return []
        with path.open("rb") as file:
            data = json.loads(read_text(path)) if file.read(1) == b"[" else None
    except (OSError, ValueError, RecursionError):
        return []
    sound = isinstance(data, list) and all(isinstance(value, dict) and not too_deep(value) for value in data)
    return list(enumerate(data, 1)) if data and sound else []


def has_lines(path: Path) -> bool:
    """Whether a file, whatever its name, begins with more than one line of JSON objects."""
    try:
        with path.open("rb") as file:
            first, second = (json.loads(file.readline(LARGEST)) for _ in range(2))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(first, dict) and isinstance(second, dict)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        if not path.is_file():  # a pipe may have no end
            raise InputError(f"{path} is no file; expected JSON Lines")
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(LARGEST + 1), b""), 1):
                if len(line) > LARGEST:
                    raise InputError(f"{path}, line {number}: it has more than {LARGEST} bytes; expected JSON Lines")
                raw = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
                if raw.strip():
                    yield number, raw
    except OSError as error:
        raise InputError(f"{os.fspath(path)} cannot be read: {error.strerror or error}") from error
