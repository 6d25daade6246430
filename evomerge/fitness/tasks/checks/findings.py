"""Findings about items: one sentence per kind, with how many items have it, the first of them, and a remedy."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

_LONGEST = 80


@dataclass
class _Finding:
    """Items that share one fault; told by the first of them."""

    place: int
    question: str
    detail: str
    remedy: str
    fatal: bool
    count: int = 0


@dataclass
class Findings:
    """Faults of a task's items, gathered by kind.

    Attributes:
        task: Name of the task.
        total: Number of items.
        noun: Name of one of them, ``item`` or ``example``.
    """

    task: str
    total: int
    noun: str = "item"
    _found: dict[str, _Finding] = field(default_factory=dict)

    def add(self, sentence: str, case: Case, detail: str = "", *, remedy: str = "", fatal: bool = True) -> None:
        """Notes one item.

        Args:
            sentence: The kind of fault; ``{items}`` stands for how many items have it.
            case: The item.
            detail: Ends the description of the item, such as ``with the answer 7``.
            remedy: The way out.
            fatal: Whether the task cannot be scored; otherwise it is a warning.
        """
        first = self._found.setdefault(sentence, _Finding(case.place, shown(case.question), detail, remedy, fatal))
        first.count += 1

    def drop(self, sentence: str) -> None:
        """Forgets a kind of fault."""
        self._found.pop(sentence, None)

    def count(self, sentence: str) -> int:
        """Number of items with that fault."""
        return self._found[sentence].count if sentence in self._found else 0

    @property
    def problems(self) -> list[str]:
        """Sentences about faults that make scores meaningless."""
        return [self._told(sentence, found) for sentence, found in self._found.items() if found.fatal]

    @property
    def warnings(self) -> list[str]:
        """Sentences about faults that lm-eval accepts and people should know of."""
        return [self._told(sentence, found) for sentence, found in self._found.items() if not found.fatal]

    def _told(self, sentence: str, found: _Finding) -> str:
        items = f"{found.count} of {self.total} {self.noun}{'s' if self.total != 1 else ''}"
        detail = f" {found.detail}" if found.detail else ""
        remedy = f"; {found.remedy}" if found.remedy else ""
        first = f"the first is {self.noun} {found.place + 1}, {found.question}{detail}"
        return f"task {self.task!r}: {sentence.replace('{items}', items)}; {first}{remedy}"


@dataclass
class Case:
    """One item while it is checked.

    Attributes:
        found: Gets what is wrong with it.
        place: Its place in the task, counted from 0.
        doc: Its document.
        question: Its question, for messages.
        generated: Whether its answers are generated.
        lenient: Whether it is one of a task that people cannot edit.
    """

    found: Findings
    place: int
    doc: Any
    question: Any = None
    generated: bool = False
    lenient: bool = False

    def tell(self, sentence: str, detail: str = "", *, remedy: str = "", fatal: bool = True) -> None:
        """Notes a fault of the item; see :meth:`Findings.add`."""
        self.found.add(sentence, self, detail, remedy=remedy, fatal=fatal)


def shown(value: Any, longest: int = _LONGEST) -> str:
    """A value as a message shows it: texts in quotes, the rest as JSON writes it, cut to a length."""
    if isinstance(value, str):
        text = repr(_cut(" ".join(value.split()), longest))
    elif value is None or isinstance(value, bool):
        text = json.dumps(value)
    else:
        text = _cut(" ".join(repr(value).split()), longest)
    return text


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def kind_of(value: Any) -> str:
    """A value's type as a message names it, with its article; empty for texts, ``null`` for whatever is missing."""
    if isinstance(value, str):
        return ""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "null" if value is None else "NaN"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, dict):
        return "an object"
    return "a list" if is_list(value) else f"a {type(value).__name__}"


def is_list(value: Any) -> bool:
    """Whether a value holds several others in order."""
    return isinstance(value, list | tuple) or (hasattr(value, "tolist") and getattr(value, "ndim", 0) > 0)


def is_null(value: Any) -> bool:
    """Whether a value says nothing: null, or a number that is none."""
    return kind_of(value) in ("null", "NaN")


def null_field(names: Iterable[str], doc: Any) -> str:
    """The first of these fields that is null in a document, for a message."""
    name = next((name for name in names if name in doc and is_null(doc[name])), None)
    return "" if name is None else f"with {kind_of(doc[name])} in the field {name!r}"
