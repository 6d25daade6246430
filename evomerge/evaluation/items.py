"""Which items are asked: mappings from task to item ids."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

ItemLists = Mapping[str, Sequence[str]]  # task name to item ids

# Functions of the whole model are answered like a task of this name that has one item, whose metrics are their values.
PYTHON = "python"
PYTHON_ITEMS: dict[str, tuple[str, ...]] = {PYTHON: ("",)}


def count_items(items: ItemLists) -> int:
    """Number of benchmark items over all tasks; functions of the whole model are none."""
    return sum(len(ids) for task, ids in items.items() if task != PYTHON)


def item_set_digest(items: ItemLists) -> str:
    """SHA-256 of a set of items, whatever order they are listed in."""
    sorted_items = {task: sorted(ids) for task, ids in items.items() if ids}
    text = json.dumps(sorted_items, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
