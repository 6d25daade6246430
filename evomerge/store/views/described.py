"""The items of a run as people read them: ``items.json``, which the run's start wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from evomerge.errors import InputError
from evomerge.store.run import RunStore

ITEMS = "items.json"
_SHOWN = 80


def described_items(store: RunStore) -> Mapping[str, Mapping[str, Any]]:
    """Items by id: ``task``, ``split``, ``question``, ``options``, ``gold``, ``doc_hash``, ``cluster``.

    Args:
        store: The run; one that has no such file describes no item.

    Raises:
        InputError: If the file is damaged.
    """
    contents: Mapping[str, Any] = store.read_json(ITEMS) or {}
    for item, entry in contents.items():
        if not _is_sound(entry):
            said = json.dumps(entry, ensure_ascii=False)
            said = said if len(said) <= _SHOWN else f"{said[: _SHOWN - 1]}…"
            raise InputError(
                f"{store.folder / ITEMS}: expected the task, and a list of options if any, of item {item!r}; it holds "
                f"{said}. Take the file from a copy of the run's folder"
            )
    return contents


def clusters_of(described: Mapping[str, Mapping[str, Any]]) -> Mapping[str, str]:
    """Cluster of each item that belongs to one.

    Args:
        described: As :func:`described_items` gives it.
    """
    return {item: str(entry["cluster"]) for item, entry in described.items() if entry.get("cluster") is not None}


def _is_sound(entry: Any) -> bool:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("task"), str):
        return False
    return isinstance(entry.get("options"), list | None) and isinstance(entry.get("cluster"), str | None)
