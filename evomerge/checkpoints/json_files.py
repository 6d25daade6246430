"""JSON files of a model folder: those that must be readable, and those that may be missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evomerge.errors import InputError
from evomerge.texts import DEEPEST, read_text, too_deep


def read_object(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        InputError: If the file is missing or broken, or holds something else.
    """
    try:
        data = json.loads(read_text(path))
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{str(path)!r} cannot be read as JSON: {error}. Fetch it again") from error
    if too_deep(data):
        raise InputError(f"{str(path)!r} holds lists or objects nested more than {DEEPEST} deep. Fetch it again")
    if not isinstance(data, dict):
        raise InputError(f"{str(path)!r} holds a {type(data).__name__}; expected an object")
    return data


def read_optional(path: Path) -> dict[str, Any]:
    """Reads a JSON object; a file that is missing or broken reads as empty."""
    try:
        return read_object(path)
    except InputError:
        return {}
