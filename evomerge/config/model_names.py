"""Models and tasks as users name them: folders, hub ids with a revision, and the example inside the package."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evomerge.errors import suggest
from evomerge.recipe import CheckpointRef
from evomerge.run.paths import EXAMPLE, example_folder, is_file, is_folder, is_hub_id, resolve, sibling

_REVISION = re.compile(r"^(?P<source>[^@]+)@(?P<revision>[\w./-]+)$")
_TASK_NAME = re.compile(r"^(?:task|group|tag)\s*:\s*['\"]?([^\s'\"#\[]+)", re.MULTILINE)


def read_checkpoint(value: Any) -> CheckpointRef:
    """Reads a model as people write it.

    Args:
        value: A folder, a hub id, ``ORG/NAME@REVISION``, or a mapping with ``source``, ``revision`` and ``hub_id``.

    Raises:
        ValueError: Saying what is wrong with it.
    """
    if isinstance(value, Mapping):
        known = ("source", "revision", "hub_id")
        for name in value:
            if name not in known:
                raise ValueError(f"{name!r} is not one of {', '.join(known)}{suggest(str(name), known)}")
        if not isinstance(value.get("source"), str) or not value["source"].strip():
            raise ValueError("a model's mapping needs a source")
        for name in ("revision", "hub_id"):
            if not isinstance(value.get(name, ""), str | None) or value.get(name) == "":
                raise ValueError(f"{name} is {value[name]!r}; expected a text, in quotes where it looks like a number")
        return CheckpointRef(value["source"], value.get("revision"), None, value.get("hub_id"))
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a folder, a hub id such as ORG/NAME, or a mapping with source and revision")
    match = _REVISION.match(value)
    if match and is_hub_id(match["source"]):
        return CheckpointRef(match["source"], match["revision"])
    return CheckpointRef(value)


def missing(ref: CheckpointRef) -> str | None:
    """Why a model's folder cannot be there, or None when it exists or is a hub id."""
    if is_hub_id(ref.source):
        return None
    place = Path(resolve(ref.source))
    if is_folder(place):
        return None
    if is_file(place):
        return f"{ref.source} is a file; a model is the folder with its config.json and *.safetensors"
    if ref.source.startswith(EXAMPLE):
        known = [EXAMPLE + name for name in example_models()]
        return f"there is no {ref.source}{suggest(ref.source, known)} (there are {', '.join(known)})"
    return f"there is no folder {ref.source}{sibling(place) or '; a hub id is written ORG/NAME'}"


def example_models() -> list[str]:
    """Names of the models inside the package."""
    folder = example_folder()
    return sorted(path.parent.name for path in folder.glob("*/config.json"))


def local_tasks(task_path: Iterable[str]) -> set[str]:
    """Names of the tasks and groups that the files under some paths declare.

    The files are only scanned for their ``task:`` lines: they may hold ``!function`` tags that mean running code.
    """
    found: set[str] = set()
    for entry in task_path:
        place = Path(resolve(entry))
        for file in _files(place) if is_folder(place) else [place]:
            if file.suffix in (".yaml", ".yml") and is_file(file):
                with contextlib.suppress(OSError):  # whoever reads it in earnest says so
                    found.update(_TASK_NAME.findall(file.read_text(encoding="utf-8", errors="replace")))
    return found


def _files(folder: Path) -> Iterator[Path]:
    """All files below a folder, without those that may not be looked at."""
    for inside, _, names in os.walk(folder):
        yield from (Path(inside, name) for name in names)
