"""What makes two runs the same run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from evomerge.errors import InputError


def digest(identity: Mapping[str, Any]) -> str:
    """SHA-256 of an identity's canonical JSON."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def refuse_other(folder: str, stored: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Refuses a folder that belongs to another run.

    Raises:
        InputError: Naming every field that differs, with both values.
    """
    differences = [
        f"{folder} holds another run: {path} is {_short(old)} there and {_short(new)} now"
        for path, old, new in _differences(stored, asked)
    ]
    if differences:
        raise InputError([*differences, "choose another run_dir, or repeat the settings the folder was made with"])


_ABSENT = object()


def _differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            inner = f"{path}.{key}" if path else str(key)
            yield from _differences(old.get(key, _ABSENT), new.get(key, _ABSENT), inner)
    elif old != new:
        yield path, old, new


def _short(value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
