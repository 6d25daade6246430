"""Documents behind items: what the split of an item follows, whatever task asks it.

The document is the row of the data, as it was before a task's ``process_docs``: two tasks over the same rows then hold
the same ones out, however differently they ask. To find the row behind a processed document, rows carry a column with
their number through ``process_docs``. Where a task rebuilds its documents, so that the column is lost, rows are taken
in their order, if they are seen to keep it; where they do not, or their numbers differ, the processed document has to
do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lm_eval.api.task import ConfigurableTask, Task
from lm_eval.utils import handle_non_serializable, hash_string

from evomerge.fitness.splits import canonical, digest
from evomerge.fitness.tasks.checks.fields import ANY_ERROR

_ROW = "evomerge_row"
_TRIED = 64


def doc_hash(doc: Any) -> str:
    """lm-eval's ``doc_hash`` of a document, by which its logged samples are matched with ours."""
    return hash_string(json.dumps(doc, indent=2, default=handle_non_serializable, ensure_ascii=False))


def document_keys(task: Task, docs: Sequence[Any]) -> tuple[list[str], bool]:
    """Names the document behind each item.

    Args:
        task: As lm-eval made it.
        docs: The documents that it asks, in order.

    Returns:
        16 hex digits per document, the same for equal rows in whatever task, and for equal documents of this one; and
        whether the rows were found.
    """
    rows = rows_behind(task, docs)
    keys = [digest("document", canonical(_normal(row)))[:16] for row in (docs if rows is None else rows)]
    alike: dict[str, str] = {}
    asked = [canonical(doc) for doc in docs]
    for doc, key in zip(asked, keys, strict=True):
        alike[doc] = min(key, alike.get(doc, key))
    return [alike[doc] for doc in asked], rows is not None


def source(task: Task) -> str | None:
    """Where a task's documents come from, equal for tasks that read the same data; ``None`` where it does not say."""
    parts = [task.get_config(f"dataset_{part}") for part in ("path", "name", "kwargs")]
    return None if parts[0] is None else canonical([_split(task), *parts])


def _split(task: Task) -> Any:
    return task.get_config("test_split") or task.get_config("validation_split")


def rows_behind(task: Task, docs: Sequence[Any]) -> Sequence[Any] | None:
    """The row of the data behind each document of a task, in order; None where that cannot be told."""
    process = task.get_config("process_docs")
    own = not isinstance(task, ConfigurableTask) or any(
        getattr(type(task), name) is not getattr(ConfigurableTask, name) for name in ("test_docs", "validation_docs")
    )
    if process is None and not own:
        return docs
    try:
        rows = task.dataset[_split(task)]
        return _among(rows, docs) if own else _processed(process, rows, docs)
    except ANY_ERROR:  # code of the task may not like the column, or return what is no table
        return None


def _among(rows: Any, docs: Sequence[Any]) -> Sequence[Any] | None:
    """The documents themselves, where they are rows of the data."""
    known = {canonical(row) for row in rows}
    return docs if all(canonical(doc) in known for doc in docs) else None


def _processed(process: Callable[[Any], Any], rows: Any, docs: Sequence[Any]) -> Sequence[Any] | None:
    processed = process(rows.add_column(_ROW, list(range(len(rows)))))
    asked = [canonical(doc) for doc in docs]
    if _ROW not in processed.column_names:
        return list(rows) if len(rows) == len(docs) and _row_by_row(process, rows, asked) else None
    numbers = processed[_ROW]
    same = [canonical(doc) for doc in processed.remove_columns(_ROW)] == asked
    return [rows[number] for number in numbers] if same else None


def _row_by_row(process: Callable[[Any], Any], rows: Any, asked: Sequence[str]) -> bool:
    """Whether documents follow the order of the rows, seen on some of them: one that sorts or shuffles does not."""
    some = range(min(len(rows), _TRIED))
    forward, backward = (
        [canonical(doc) for doc in process(rows.select(order))] for order in (list(some), list(reversed(some)))
    )
    return forward == list(asked[: len(some)]) and backward == forward[::-1]


def _normal(value: Any) -> Any:
    """A row without what depends on other rows of its file: fields that it lacks, the point of whole numbers."""
    if isinstance(value, Mapping):
        return {str(name): _normal(entry) for name, entry in value.items() if entry is not None}
    if isinstance(value, list | tuple):
        return [_normal(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
