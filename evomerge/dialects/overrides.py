"""The settings of a search that another tool's configuration stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evomerge.errors import suggest

Check = Callable[[Any], bool]


@dataclass(frozen=True)
class Overrides:
    """A configuration in our words.

    Attributes:
        tool: The tool that it was written for.
        values: Our keys and their values; groups such as ``searcher`` by the name of a choice.
        notes: What is otherwise here, or has no meaning here, one sentence each.
    """

    tool: str
    values: Mapping[str, Any]
    notes: tuple[str, ...] = ()


class Fields:
    """Reads a mapping of known fields, and collects everything that is wrong with it.

    Args:
        data: The mapping.
        prefix: What stands before the names of its fields in messages, such as ``genome.``.
        problems: Gets a sentence for everything that is wrong.
    """

    def __init__(self, data: Any, prefix: str, problems: list[str]) -> None:
        self.problems, self.prefix = problems, prefix
        self._data: Mapping[Any, Any] = data if isinstance(data, Mapping) else {}
        self._read: set[str] = set()
        if not isinstance(data, Mapping):
            problems.append(f"{prefix.rstrip('.') or 'it'} is {shown(data)}; expected a mapping")

    def get(self, name: str, check: Check, expected: str, default: Any = None, *, needed: bool = False) -> Any:
        """The value of a field; the default where it is missing, null or wrong."""
        self._read.add(name)
        value = self._data.get(name)
        if value is None:
            if needed:
                self.problems.append(f"{self.prefix}{name} is missing; expected {expected}")
            return default
        if not check(value):
            self.problems.append(f"{self.prefix}{name} is {shown(value)}; expected {expected}")
            return default
        return value

    def has(self, name: str) -> bool:
        """Whether a field is there with a value."""
        return self._data.get(name) is not None

    def refuse_others(self, remedies: Mapping[str, str]) -> None:
        """Names fields that nobody read.

        Args:
            remedies: Fields that the tool knows and we do not, with what to do.
        """
        for key in self._data:
            if key in self._read:
                continue
            known = [*sorted(self._read), *remedies]
            why = f": {remedies[key]}" if key in remedies else suggest(str(key), known)
            self.problems.append(f"unsupported key {self.prefix}{key}{why}")


def shown(value: Any, length: int = 60) -> str:
    """A value as Python writes it, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= length else f"{text[: length - 3]}..."


def is_text(value: Any) -> bool:
    """A text that is not empty."""
    return isinstance(value, str) and bool(value.strip())


def is_flag(value: Any) -> bool:
    """True or false."""
    return isinstance(value, bool)


def is_count(value: Any) -> bool:
    """A whole number from 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_whole(value: Any) -> bool:
    """A whole number from 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_list(value: Any) -> bool:
    """A list of one or more."""
    return isinstance(value, list) and bool(value)


def is_texts(value: Any) -> bool:
    """A list of texts."""
    return isinstance(value, Sequence) and not isinstance(value, str) and all(map(is_text, value))


def metric_key(task: str, metric: str) -> str:
    """Our name of a task's metric: lm-eval's ``acc,none`` is ``task.acc``, other filters stay."""
    return f"{task}.{metric.removesuffix(',none')}"
