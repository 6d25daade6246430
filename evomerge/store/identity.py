"""Compares the identities of runs: refuses a folder that another run began, and names the differences."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from evomerge.errors import InputError


def digest(identity: Mapping[str, Any]) -> str:
    """SHA-256 of an identity's canonical JSON."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


# Fields that people set, in the order in which differences are told.
_SET = (
    "seed",
    "method",
    "models",
    "base",
    "objectives",
    "constraints",
    "measures",
    "cells",
    "unmatched",
    "embeddings",
    "tokenizer",
    "functions",
    "genome",
    "fitness",
    "searcher",
    "allocation",
)
# Fields that follow from those; where one of these differs, the field that follows needs no explanation of its own.
_FOLLOWING = {
    "method.options": ("method.name",),
    "searcher.options": ("searcher.name",),
    "searcher.population": ("searcher.name",),
    "starts": ("seed", "method", "genome.settings", "models", "base"),
    "genome.labels": ("method", "genome.settings", "models", "base"),
    "searcher.seed": ("seed",),
    "fitness.seed": ("seed",),
    "measures": ("objectives", "searcher.name"),
    "cells": ("searcher.name",),
    "files": ("method", "models", "base"),
    "items": ("seed", "fitness", "models", "base"),
    "judging": ("fitness",),
}

_OPTION = "searcher.options."
_OTHER_SETTINGS = "choose another run_dir, or repeat the settings the folder was made with"
_OTHER_VERSION = (
    "no settings of this version repeat that run; it can report on it and export from it, but not go on with it: "
    "choose another run_dir, or go on with the version that made it"
)


def refuse_other(folder: str, stored: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Refuses a folder that belongs to another run.

    Raises:
        InputError: Naming every field that differs, with both values, those that people set first; fields that follow
            from these are named together. Where the same searcher has other options, another version began the run, and
            nobody is told to repeat its settings.
    """
    differences = sorted(_differences(stored, asked), key=lambda difference: _rank(difference[0]))
    if not differences:
        return
    paths = [path for path, _, _ in differences]
    problems: list[str] = []
    following: list[str] = []
    versions = False
    for path, old, new in differences:
        derived = _derived(path)
        if path.startswith(_OPTION) and _ABSENT in (old, new) and "searcher.name" not in paths:
            versions = True
            problems.append(f"{folder} holds a run of another version of evomerge: {_options_of(path, old, new)}")
        elif derived is not None and any(_within(other, cause) for other in paths for cause in _FOLLOWING[derived]):
            following.append(derived)
        else:
            problems.append(f"{folder} holds another run: {path} is {_short(old)} there and {_short(new)} now")
    if following:
        problems.append(f"what follows from these settings differs too: {', '.join(dict.fromkeys(following))}")
    raise InputError([*problems, _OTHER_VERSION if versions else _OTHER_SETTINGS])


def _options_of(path: str, old: Any, new: Any) -> str:
    name = path.removeprefix(_OPTION)
    if new is _ABSENT:
        return f"its searcher had the option {name} ({_short(old)}), this one has none"
    return f"its searcher had no option {name}, this one has ({_short(new)})"


def _derived(path: str) -> str | None:
    return next((field for field in _FOLLOWING if _within(path, field)), None)


def _rank(path: str) -> int:
    return next((place for place, field in enumerate(_SET) if _within(path, field)), len(_SET))


def _within(path: str, field: str) -> bool:
    return path == field or path.startswith(f"{field}.")


_ABSENT = object()
_HASH = re.compile(r'"([0-9a-f]{8})[0-9a-f]{8,}"')  # fingerprints tell people nothing beyond being others


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
    text = _HASH.sub(r'"\1..."', json.dumps(value))
    return text if len(text) <= 80 else text[:77] + "..."
