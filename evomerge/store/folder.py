"""A run's folder before it is opened: whose it is, and of which format."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from evomerge.errors import InputError
from evomerge.evaluation import Constraint, Measure, Objective
from evomerge.store import format_1
from evomerge.store.files import settle
from evomerge.store.identity import refuse_other

FORMAT = 2
MANIFEST = "manifest.json"


def make_folder(folder: Path, identity: Mapping[str, Any]) -> None:
    """Makes a run's folder, or makes sure that the one that is there can be gone on with.

    Args:
        folder: The run's folder.
        identity: What makes it this run, as JSON would give it back.

    Raises:
        InputError: If the folder holds another run, a run of another format, or something else.
    """
    # Looked for before the manifest, which another process may be writing just now, with whatever follows it.
    problem = foreign_problem(folder)
    if (folder / MANIFEST).exists():
        stored = read_manifest(folder)
        if stored["format"] == format_1.FORMAT:
            raise InputError(
                f"{folder} holds a run of format {format_1.FORMAT}, made by an earlier version of evomerge; this "
                "version reports on it and exports from it but cannot go on with it: choose another run_dir, or go on "
                "with the version that made it"
            )
        refuse_other(str(folder), stored.get("identity", {}), identity)
    elif problem is not None:
        raise InputError(problem)
    try:
        (folder / "records").mkdir(parents=True, exist_ok=True)
        (folder / "responses").mkdir(exist_ok=True)
        settle(folder)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be made: {error.filename}: {error.strerror}; choose another run_dir"
        ) from error
    if not os.access(folder / "records", os.W_OK):
        raise InputError(f"{folder} may not be written to; choose another run_dir, or let its owner go on with it")


def foreign_problem(folder: Path) -> str | None:
    """Why a folder without a manifest is not taken for a new run: something else lies in it. None if it may be."""
    foreign = folder.exists() and (not folder.is_dir() or any(_foreign(folder)))
    if not foreign or (folder / MANIFEST).exists():
        return None
    return f"{folder} is not a run's folder and is not empty; choose another run_dir"


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a run of any format.

    Raises:
        InputError: If the folder holds no run, one of a later format, or a manifest that is damaged.
    """
    if not (folder / MANIFEST).exists():
        raise InputError(f"{folder} holds no run: there is no {MANIFEST} in it")
    manifest = read_json(folder / MANIFEST)
    if manifest.get("format") not in (format_1.FORMAT, FORMAT):
        raise InputError(
            f"{folder} has run format {manifest.get('format')!r}; this version reads formats {format_1.FORMAT} and "
            f"{FORMAT}. Use the version of evomerge that made it"
        )
    _refuse_damaged(folder / MANIFEST, manifest)
    return manifest


_OBJECTS = ("config", "identity", "method", "genome", "device", "tasks", "items", "seeds", "versions", "budgets")
_LISTS = ("models", "objectives", "constraints", "measures")  # of objects


def _refuse_damaged(path: Path, manifest: Mapping[str, Any]) -> None:
    """Refuses a manifest that holds something else where readers expect objects or lists of them."""
    found = [
        f"{name!r} is {type(manifest[name]).__name__}, expected an object"
        for name in _OBJECTS
        if name in manifest and not isinstance(manifest[name], Mapping)
    ]
    if not isinstance(manifest.get("base", {}), Mapping | None):
        found.append("'base' is neither an object nor null")
    for name in _LISTS:
        entries = manifest.get(name, [])
        if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
            found.append(f"{name!r} is no list of objects")
    if not found and not all(_are_items(items) for items in manifest.get("items", {}).values()):
        found.append("'items' does not hold, for each split, lists of item ids by task")
    if not found:
        try:
            _ = [Objective.from_json(data) for data in manifest.get("objectives", [])]
            _ = [Constraint.from_json(data) for data in manifest.get("constraints", [])]
            _ = [Measure.from_json(data) for data in manifest.get("measures", [])]
        except (KeyError, TypeError, ValueError) as error:
            found.append(f"objectives, constraints or measures cannot be read: {error}")
    if found:
        raise InputError([f"{path} is not the manifest of a run: {problem}" for problem in found])


def _are_items(items: Any) -> bool:
    """Whether a value is a mapping from tasks to lists of item ids."""
    if not isinstance(items, Mapping):
        return False
    return all(isinstance(ids, list) and all(isinstance(one, str) for one in ids) for ids in items.values())


def versions_at_start(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The versions that the run in a folder began with, as a field of its manifest; none if they are those of now."""
    stored = read_json(folder / MANIFEST) if (folder / MANIFEST).exists() else {}
    began = stored.get("versions_at_start", stored.get("versions"))
    return {} if began is None or began == manifest.get("versions") else {"versions_at_start": began}


def read_json(path: Path) -> dict[str, Any]:
    """Reads a file that holds a JSON object.

    Raises:
        InputError: If it cannot be read, or holds something else.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:  # no UTF-8 is a ValueError too
        raise InputError(
            f"{path} cannot be read as JSON: {error}. Take the file from a copy of the run's folder"
        ) from error
    if not isinstance(data, dict):
        raise InputError(
            f"{path} holds a {type(data).__name__}, expected an object. Take the file from a copy of the run's folder"
        )
    return data


def _foreign(folder: Path) -> Iterable[Path]:
    """Entries of a folder besides a submission's, the traces of a run killed before its manifest, and Hydra's."""
    expected = {"records", "responses", ".hydra", "work", "job.sbatch", "job.yaml"}
    return (
        entry
        for entry in folder.iterdir()
        if entry.name not in expected and not entry.name.endswith((".log", ".tmp", "~"))
    )
