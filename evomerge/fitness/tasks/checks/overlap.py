"""Tasks that may search on what another one holds out, since their documents could not be recognised as the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from evomerge.fitness.tasks.checks.findings import shown

# Texts that are sentences rather than labels or names, and as many of them as chance does not bring about.
_SHORTEST, _FEWEST = 8, 3
_HELD_OUT = ("selection", "test")

Documents = Mapping[str, Mapping[str, Any]]
ItemSplits = Mapping[str, Mapping[str, tuple[str, ...]]]


def rebuilt(name: str, source: str | None, sources: Mapping[str, str | None]) -> str | None:
    """A sentence about a task whose documents do not tell their rows, where another task reads the same data.

    Args:
        name: Of the task.
        source: Where its documents come from, if the rows behind them could not be found.
        sources: The same of every task, by name.
    """
    if source is None:
        return None
    other = next((other for other, data in sources.items() if data == source and other != name), None)
    if other is None:
        return None
    return (
        f"task {name!r} rebuilds its documents (process_docs or code of its own), so its splits cannot follow the "
        f"data's rows: it may search on what {other!r} holds out"
    )


def shared_texts(documents: Documents, items: ItemSplits) -> Iterator[tuple[str, str]]:
    """Sentences about tasks that search on texts that another task holds out, under documents that differ otherwise.

    Args:
        documents: Task name to item id to document.
        items: Split name to task name to ids of the items that are asked.

    Yields:
        Name of the task that searches, and the sentence.
    """
    texts = {task: _texts(docs) for task, docs in documents.items()}
    for task, own in texts.items():
        searched = {text for item in items["search"][task] for text in own.get(item, ())}
        for other, theirs in texts.items():
            if other == task or not searched:
                continue
            held = [text for split in _HELD_OUT for item in items[split][other] for text in theirs.get(item, ())]
            both = [text for text in dict.fromkeys(held) if text in searched]
            if len(both) >= _FEWEST:
                yield (
                    task,
                    f"task {task!r} searches on {len(both)} texts that {other!r} holds out, the first is "
                    f"{shown(both[0])}; their documents differ in other fields, so their splits differ: let both tasks "
                    "read one file",
                )


def _texts(docs: Mapping[str, Any]) -> dict[str, list[str]]:
    """The sentences of each document that no other document of the task has."""
    found = {item: list(_sentences(doc)) for item, doc in docs.items()}
    counts = Counter(text for texts in found.values() for text in set(texts))
    return {item: [text for text in texts if counts[text] == 1] for item, texts in found.items()}


def _sentences(doc: Any) -> Iterator[str]:
    for value in doc.values() if isinstance(doc, Mapping) else ():
        if isinstance(value, str) and len(value) >= _SHORTEST and " " in value.strip():
            yield value
