"""Models and tasks as users name them: folders, hub ids with a revision, and the example inside the package."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evomerge.errors import InputError, suggest
from evomerge.recipe import AdapterRef, CheckpointRef, ModelRef
from evomerge.run.paths import EXAMPLE, example_folder, is_file, is_folder, is_hub_id, named_base, resolve, sibling

_REVISION = re.compile(r"^(?P<source>[^@]+)@(?P<revision>[\w./-]+)$")
_TASK_NAME = re.compile(r"^(?:task|group|tag)\s*:\s*['\"]?([^\s'\"#\[]+)", re.MULTILINE)


def read_model(value: Any) -> ModelRef:
    """Reads a model as people write it.

    Args:
        value: A folder, a hub id, ``ORG/NAME@REVISION``, or a mapping with ``source``, ``revision`` and ``hub_id``;
            ``BASE+ADAPTER``, or a mapping with ``on``, for a LoRA adapter on that base. A folder of such a name wins.

    Raises:
        ValueError: Saying what is wrong with it.
    """
    if isinstance(value, Mapping):
        return _read_mapping(value)
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a folder, a hub id such as ORG/NAME, or a mapping with source and revision")
    on, plus, adapter = value.partition("+")
    if not plus or is_folder(Path(resolve(value))):
        return _read_text(value)
    if not on or not adapter or ("+" in adapter and not is_folder(Path(resolve(adapter)))):
        raise ValueError("with a +, expected BASE+ADAPTER, with one adapter")
    found = _read_text(adapter)
    return AdapterRef(found.source, _read_text(on), found.revision)


def _read_text(value: str) -> CheckpointRef:
    match = _REVISION.match(value)
    if match and is_hub_id(match["source"]):
        return CheckpointRef(match["source"], match["revision"])
    return CheckpointRef(value)


def _read_mapping(value: Mapping[Any, Any]) -> ModelRef:
    known = ("source", "revision", "hub_id", "on")
    for name in value:
        if name not in known:
            raise ValueError(f"{name!r} is not one of {', '.join(known)}{suggest(str(name), known)}")
    if not isinstance(value.get("source"), str) or not value["source"].strip():
        raise ValueError("a model's mapping needs a source")
    for name in ("revision", "hub_id"):
        if not isinstance(value.get(name, ""), str | None) or value.get(name) == "":
            raise ValueError(f"{name} is {value[name]!r}; expected a text, in quotes where it looks like a number")
    if value.get("on") is None:
        return CheckpointRef(value["source"], value.get("revision"), None, value.get("hub_id"))
    on = read_model(value["on"])
    if isinstance(on, AdapterRef):
        raise ValueError("on is an adapter itself; expected the whole model that this one was trained on")
    return AdapterRef(value["source"], on, value.get("revision"), None, value.get("hub_id"))


def base_of(models: Iterable[ModelRef]) -> CheckpointRef | None:
    """The base that the LoRA adapters among some models name, if they agree; None without any, or where none says so.

    Only folders are looked into.

    Raises:
        InputError: If they name different ones.
    """
    named: dict[tuple[str, str | None], str] = {}
    for ref in models:
        found = None if isinstance(ref, AdapterRef) else named_base(Path(resolve(ref.source)))
        if found is not None:
            named.setdefault(found, ref.source)
    if len(named) > 1:
        told = ", ".join(f"{adapter} was trained on {base[0]}" for base, adapter in named.items())
        raise InputError(f"base: the adapters name different ones ({told}); set base=..., or write BASE+ADAPTER")
    return next((CheckpointRef(*base) for base in named), None)


def sources_of(ref: ModelRef) -> tuple[str, ...]:
    """The places that a model is read from: its own, and that of an adapter's base."""
    return (ref.source, ref.on.source) if isinstance(ref, AdapterRef) else (ref.source,)


def missing(ref: ModelRef) -> str | None:
    """Why a model's folder, or that of an adapter's base, cannot be there; None when it exists or is a hub id."""
    if isinstance(ref, AdapterRef) and (problem := missing(ref.on)):
        return problem
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
