"""Clusters of items: those over one passage, from one template, of one conversation, by a field of their documents.

A task names the field, as ``cluster: FIELD`` of a declaration over a JSONL file or ``metadata: {cluster: FIELD}`` of a
task file. Its items share what makes them easy or hard, so they are held out together and counted together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.api.task import Task

from evomerge.errors import InputError, suggest
from evomerge.fitness.splits import canonical, digest
from evomerge.fitness.tasks.documents import rows_behind

_LONGEST = 64  # characters of a label; a longer value, such as a whole passage, stands as its hash


def cluster_field(task: Task) -> str | None:
    """The field whose value items of a cluster share; None where a task names none."""
    metadata = task.get_config("metadata")
    found = metadata.get("cluster") if isinstance(metadata, Mapping) else None
    return None if found is None else str(found)


def cluster_labels(task: Task, name: str, docs: Sequence[Any]) -> list[str | None]:
    """The cluster of each item.

    Args:
        task: As lm-eval made it.
        name: Of the task.
        docs: The documents that it asks, in order; the field may also be one of the rows behind them.

    Returns:
        One label per document; None where the task names no field, or the document holds null there: it stands alone.

    Raises:
        InputError: If neither documents nor rows have the field.
    """
    field = cluster_field(task)
    if field is None:
        return [None] * len(docs)
    for rows in (docs, rows_behind(task, docs) or ()):
        if any(isinstance(row, Mapping) and row.get(field) is not None for row in rows):
            return [_label(row.get(field) if isinstance(row, Mapping) else None) for row in rows]
    fields = list(docs[0]) if isinstance(docs[0], Mapping) else []
    raise InputError(
        f"task {name!r}: cluster names the field {field!r}, which its documents do not have{suggest(field, fields)}"
        f"{'; the fields are ' + ', '.join(map(str, fields)) if fields else ''}"
    )


def _label(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else canonical(value)
    return text if len(text) <= _LONGEST else digest("label", text)[:16]


def document_of(label: str) -> str:
    """The name of a cluster in the place of a document's, which the split of its items follows."""
    return digest("cluster", label)[:16]
