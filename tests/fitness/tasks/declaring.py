"""Small tasks, declared as users do: over a JSONL file, or in a YAML file beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from evomerge.errors import InputError
from evomerge.fitness import FitnessSettings, inspect_tasks
from evomerge.fitness.inspection import Inspection
from evomerge.fitness.tasks.build import Opened, open_tasks
from tests.fitness.conftest import write_jsonl

INLINE = {
    "task": "quiz",
    "data": "quiz.jsonl",
    "question": "{{question}} Answer:",
    "choices": "{{options}}",
    "answer": "{{gold}}",
}
SIMPLE = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{stem}}}}"
doc_to_choice: options
doc_to_target: gold
"""


WORDS = ["red", "green", "blue"]


def rows(count: int = 30, **changes: Any) -> list[dict[str, Any]]:
    """Sound documents, with fields replaced: by a value, or by what a function makes of the place."""
    found = []
    for place in range(count):
        row = {"q": f"Item {place}:", "o": WORDS, "a": place % 3}
        found.append(row | {key: value(place) if callable(value) else value for key, value in changes.items()})
    return found


def declare(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


def simple(folder: Path, name: str, data: str = "rows.jsonl", extra: str = "") -> None:
    """Declares the task of :data:`SIMPLE` under a name, over other data, with further lines."""
    declare(folder, name, SIMPLE.format(name=name, data=data) + extra)


def inspect(folder: Path, *tasks: Any, **changes: Any) -> Inspection:
    """What is told of tasks of a folder that are accepted."""
    return inspect_tasks(FitnessSettings(tasks, (str(folder),), **changes))


def opened(folder: Path, *tasks: Any, **changes: Any) -> Opened:
    """Tasks of a folder with their items."""
    return open_tasks(FitnessSettings(tasks, (str(folder),), **changes), None)


def problems(folder: Path, *tasks: Any, **changes: Any) -> str:
    """What tasks of a folder are refused with."""
    with pytest.raises(InputError) as caught:
        inspect(folder, *tasks, **changes)
    return str(caught.value)


def told(
    folder: Path,
    documents: Sequence[Mapping[str, Any]],
    *,
    yaml: bool = False,
    fields: Mapping[str, str] | None = None,
    kind: str = "multiple_choice",
    extra: str = "",
    **changes: Any,
) -> str:
    """What is said of a task with fields q, o and a over these documents, refusals and warnings alike.

    Args:
        folder: Where the files are written.
        documents: Its rows.
        yaml: Whether the task is declared in a task file; otherwise over the JSONL file.
        fields: Other templates than ``{{q}}``, ``{{o}}`` and ``{{a}}``.
        kind: ``output_type``.
        extra: Further lines of the task file.
        changes: Of the settings.
    """
    write_jsonl(folder / "rows.jsonl", documents)
    parts = {"question": "{{q}}", "answer": "{{a}}"} | ({"choices": "{{o}}"} if kind == "multiple_choice" else {})
    parts |= fields or {}
    task: Any = {"task": "t", "data": str(folder / "rows.jsonl"), "output_type": kind} | parts
    if yaml:
        names = {"question": "doc_to_text", "choices": "doc_to_choice", "answer": "doc_to_target"}
        lines = [f"{names[key]}: {value if value.startswith('[') else repr(value)}" for key, value in parts.items()]
        head = "task: t\ndataset_path: json\ndataset_kwargs: {data_files: {test: rows.jsonl}}\ntest_split: test\n"
        declare(folder, "t", "\n".join([f"{head}output_type: {kind}", *lines, extra]))
        task = str(folder / "t.yaml")
    try:
        found = inspect_tasks(FitnessSettings((task,), **changes))
    except InputError as error:
        return "refused: " + "\n".join(error.problems)
    return "accepted: " + "\n".join(found.warnings)
