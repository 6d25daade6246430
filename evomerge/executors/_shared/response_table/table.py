"""A response table in memory: candidates, items, and one array of answers for each task and metric."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.evaluation import Failure, Response
from evomerge.recipe import Recipe

__all__ = ["Recorded", "RecordedItem", "ResponseTable"]

Key = tuple[str, str]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Recorded:
    """A recorded candidate.

    Attributes:
        recipe: Its recipe.
        metrics: Task and item to the metrics of its response; empty for a failed candidate.
        error: Its failure, or None.
        origin: How it was come by: ``baseline``, ``grid``, ``random``, the name of a searcher, ...
        name: Of a baseline.
        batch: Of a search.
        genome: Its genes in the space it was drawn from; empty where it was not.
        seconds: Of merging and scoring, or None.
    """

    recipe: Recipe
    metrics: Mapping[Key, Mapping[str, Any]] = field(default_factory=dict)
    error: Failure | None = None
    origin: str = ""
    name: str | None = None
    batch: int | None = None
    genome: tuple[float, ...] = ()
    seconds: float | None = None

    @classmethod
    def of(cls, recipe: Recipe, responses: Iterable[Response], error: Failure | None = None) -> Recorded:
        """A candidate as a store has it; of responses, the metrics are kept."""
        return cls(recipe, {response.key: response.metrics for response in responses}, error)


@dataclass(frozen=True)
class RecordedItem:
    """An item of a table.

    Attributes:
        task: Its task.
        item: Its id.
        split: ``search``, ``selection`` or ``test``; empty where that is not known.
        subtask: Kind of question within the task.
        cluster: The items that belong together.
        difficulty: From 1, easy, to 5, hard: fifths of the task's items by what the baselines answered.
        question: The prompt.
        options: The answers to choose from.
        gold: The right answer.
        doc_hash: lm-eval's hash of its document.
    """

    task: str
    item: str
    split: str = ""
    subtask: str | None = None
    cluster: str | None = None
    difficulty: int | None = None
    question: str = ""
    options: tuple[str, ...] = ()
    gold: str = ""
    doc_hash: str = ""

    @property
    def key(self) -> Key:
        """Task and item."""
        return self.task, self.item


@dataclass(frozen=True, eq=False)
class ResponseTable:
    """Recorded candidates with their answers.

    Attributes:
        candidates: The candidates; see :meth:`of` and :meth:`looked_up` for their metrics.
        items: The items; those of a task are in the order of the task's arrays.
        values: Task to metric to values, ``(candidates, items)``, or ``(candidates, items, numbers)`` of metrics that
            are pairs; NaN where an item was not asked. Metrics that repeat each other are one array.
        probabilities: Task to the probability of each option when only the options are possible,
            ``(candidates, items, options)``, NaN beyond an item's last option; of tasks where they are known.
        about: Where the table comes from, for people.
    """

    candidates: tuple[Recorded, ...]
    items: tuple[RecordedItem, ...]
    values: Mapping[str, Mapping[str, Array]]
    probabilities: Mapping[str, Array] = field(default_factory=dict)
    about: str = ""

    @classmethod
    def of(
        cls, candidates: Sequence[Recorded], items: Sequence[RecordedItem] | None = None, about: str = ""
    ) -> ResponseTable:
        """A table of candidates with their metrics.

        Args:
            candidates: The candidates.
            items: Their items; None where nothing but task and id is known.
            about: Where they come from.
        """
        keys = dict.fromkeys(key for candidate in candidates for key in candidate.metrics)
        items = [RecordedItem(*key) for key in keys] if items is None else items
        table = cls(tuple(candidates), tuple(items), {}, {}, about)
        values: dict[str, dict[str, Array]] = {}
        for row, candidate in enumerate(candidates):
            for (task, item), metrics in candidate.metrics.items():
                place = table.place[task, item]
                for name, value in metrics.items():
                    columns = values.setdefault(task, {})
                    if name not in columns:
                        columns[name] = np.full((len(candidates), table.size[task], *np.shape(value)), np.nan)
                    columns[name][row, place] = value
        return replace(table, values={task: _same(columns) for task, columns in values.items()})

    @cached_property
    def place(self) -> Mapping[Key, int]:
        """Position of each item among those of its task."""
        seen: dict[str, int] = {}
        found: dict[Key, int] = {}
        for item in self.items:
            found[item.key] = seen.setdefault(item.task, 0)
            seen[item.task] += 1
        return found

    @cached_property
    def size(self) -> Mapping[str, int]:
        """Number of items by task."""
        found: dict[str, int] = {}
        for item in self.items:
            found[item.task] = found.get(item.task, 0) + 1
        return found

    def items_of(self, task: str) -> tuple[RecordedItem, ...]:
        """The items of a task, in the order of its arrays."""
        return tuple(item for item in self.items if item.task == task)

    @cached_property
    def genomes(self) -> Array:
        """Genes of the candidates, ``(candidates, genes)``; NaN in rows of those without."""
        width = max((len(candidate.genome) for candidate in self.candidates), default=0)
        return np.array([candidate.genome or (np.nan,) * width for candidate in self.candidates]).reshape(-1, width)

    def looked_up(self) -> ResponseTable:
        """The table with candidates whose metrics are looked up in its arrays."""
        rows = enumerate(self.candidates)
        found = (replace(one, metrics={} if one.error else _Answers(self, row)) for row, one in rows)
        return replace(self, candidates=tuple(found))


class _Answers(Mapping[Key, Mapping[str, Any]]):
    """The metrics of one candidate by task and item, as they are asked for."""

    def __init__(self, table: ResponseTable, row: int) -> None:
        self._table, self._row = table, row

    def __getitem__(self, key: Key) -> Mapping[str, Any]:
        place = self._table.place[key]
        columns = self._table.values.get(key[0], {})
        found = {name: _plain(column[self._row, place]) for name, column in columns.items()}
        found = {name: value for name, value in found.items() if value is not None}
        if not found:
            raise KeyError(key)
        return found

    def __iter__(self) -> Iterator[Key]:
        asked = {
            task: np.logical_or.reduce([_known(column[self._row]) for column in columns.values()])
            for task, columns in self._table.values.items()
        }
        return (key for key, place in self._table.place.items() if key[0] in asked and asked[key[0]][place])

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _plain(value: Any) -> Any:
    """A number, a pair as a list, or None for what was not asked."""
    if isinstance(value, np.ndarray):
        return None if np.isnan(value).any() else value.tolist()
    return None if value != value else float(value)


def _known(values: Array) -> NDArray[np.bool_]:
    """Which items have a value, ``(items,)``."""
    found: NDArray[np.bool_] = ~np.isnan(values)
    return found if found.ndim == 1 else np.asarray(found.all(axis=-1))


def _same(columns: Mapping[str, Array]) -> dict[str, Array]:
    """The columns, those that repeat an earlier one being that one."""
    found: dict[str, Array] = {}
    for name, column in columns.items():
        alike = (other for other in found.values() if np.array_equal(other, column, equal_nan=True))
        found[name] = next(alike, column)
    return found
