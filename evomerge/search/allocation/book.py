"""The answers of a search so far, as arrays that grow: what policies look at and estimates are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis.clusters import cluster_means
from evomerge.analysis.contributions import contributions
from evomerge.evaluation import Evaluation, Response
from evomerge.search.allocation.history import History, TaskAnswers
from evomerge.search.allocation.window import Choice, Prefix, Window

__all__ = ["AnswerBook", "Column"]

Column = tuple[str, str]  # task, metric
_EQUAL = 1e-9  # between probabilities that are the same but for rounding


class AnswerBook:
    """Answers by candidate and item, in the order in which candidates were first asked.

    Everything in it follows from the evaluations added, in their order; the store, which a replay finds full, is not
    asked.

    Args:
        pool: Task to the items that may be asked.
        columns: The metrics of items that are kept; of each task the first is the one that policies look at.
        n_var: Number of genes.
        codes: Task to the cluster of each of its items; only tasks where some belong together.

    Attributes:
        version: How often answers have come.
    """

    def __init__(
        self,
        pool: Mapping[str, tuple[str, ...]],
        columns: Sequence[Column],
        n_var: int,
        codes: Mapping[str, NDArray[np.intp]] | None = None,
    ) -> None:
        self.pool = pool
        self.codes = codes or {}
        self.columns = tuple(columns)
        self.unexplained: set[Column] = set()  # metrics that are no mean over items
        self._n_var = n_var
        self._place = {task: {item: row for row, item in enumerate(ids)} for task, ids in pool.items()}
        self._rows: dict[str, int] = {}
        self._batches: list[int] = []
        self._genomes: list[NDArray[np.float64]] = []
        self._values = {column: _Grid(len(pool[column[0]]), np.nan) for column in self.columns}
        self._missed = {task: _Grid(len(ids), 1.0) for task, ids in pool.items()}
        self._answered = {task: _Grid(len(ids), 0.0) for task, ids in pool.items()}
        self._asked = {task: _Grid(len(ids), 0.0) for task, ids in pool.items()}
        self._windows: dict[str, list[NDArray[np.int_]]] = {task: [] for task in pool}
        self.version = 0

    def __len__(self) -> int:
        """Number of candidates."""
        return len(self._rows)

    def __contains__(self, digest: object) -> bool:
        """Whether a candidate has been asked anything."""
        return digest in self._rows

    def rows(self, digests: Sequence[str]) -> NDArray[np.int_]:
        """Rows of candidates."""
        return np.array([self._rows[digest] for digest in digests], dtype=int)

    @property
    def batches(self) -> NDArray[np.int_]:
        """The batch in which each candidate was first asked, ``(candidates,)``."""
        return np.array(self._batches, dtype=int)

    @property
    def genomes(self) -> NDArray[np.float64]:
        """Genomes of the candidates, ``(candidates, n_var)``; NaN where one has none, as baselines."""
        return np.array(self._genomes).reshape(len(self), self._n_var)

    def counts(self, rows: NDArray[np.int_]) -> NDArray[np.int_]:
        """How many items candidates have answered, ``(rows,)``."""
        own = [grid.array[rows].sum(axis=1) for grid in self._answered.values()]
        return np.sum(own, axis=0, dtype=int) if own else np.zeros(len(rows), dtype=int)

    def enter(self, digest: str, batch: int, genome: NDArray[np.float64] | None) -> None:
        """Gives a candidate its row, if it has none."""
        if digest not in self._rows:
            self._rows[digest] = len(self._rows)
            self._batches.append(batch)
            self._genomes.append(np.full(self._n_var, np.nan) if genome is None else genome)
            for grids in (self._values, self._missed, self._answered, self._asked):
                for grid in grids.values():
                    grid.extend(len(self._rows))

    def turn_to(self, n_var: int) -> None:
        """Goes over to genomes of another space, in which no candidate so far has one."""
        self._n_var = n_var
        self._genomes = [np.full(n_var, np.nan)] * len(self)

    def missing(self, digest: str, choices: Mapping[str, Choice]) -> int:
        """How many items of a prefix a candidate has not been asked before."""
        sizes = sum(len(choice.rows) for choice in choices.values())
        if digest not in self._rows:
            return sizes
        row = self._rows[digest]
        return sizes - int(sum(self._asked[task].array[row, choice.rows].sum() for task, choice in choices.items()))

    def add(self, evaluation: Evaluation, responses: Sequence[Response], items: Mapping[str, Sequence[str]]) -> None:
        """Adds the answers of an evaluation; its candidate has a row."""
        row = self._rows[evaluation.digest]
        self.version += 1
        for task, place in self._place.items():
            self._asked[task].array[row, [place[item] for item in items.get(task, ())]] = 1.0
        by_task: dict[str, list[Response]] = {}
        for response in responses:
            by_task.setdefault(response.task, []).append(response)
        for column, grid in self._values.items():
            task, metric = column
            given = by_task.get(task, [])
            values = [response.metrics.get(metric) for response in given]
            if not values or column in self.unexplained:
                continue
            found = None
            if None not in values:
                found = contributions(values, evaluation.metrics.get(f"{task}.{metric}", np.nan))
            if found is None:
                self.unexplained.add(column)
            else:
                grid.array[row, [self._place[task][response.item] for response in given]] = found

    def weigh(self, digest: str, prefix: Prefix) -> None:
        """Takes in with which probability a candidate was asked each item of the pool in a window."""
        row = self._rows[digest]
        self.version += 1
        for task, choice in prefix.choices.items():
            self._missed[task].array[row] *= 1.0 - choice.inclusion
            self._answered[task].array[row, choice.rows] = 1.0

    def close(self, window: Window) -> None:
        """Ends a batch that asked a window."""
        for task, choice in window.choices.items():
            self._windows[task].append(choice.rows)

    def values(self, column: Column, rows: NDArray[np.int_], items: NDArray[np.int_]) -> NDArray[np.float64]:
        """Answers of candidates to items, ``(rows, items)``; NaN where there are none."""
        return self._values[column].array[np.ix_(rows, items)]

    def inclusion(self, task: str) -> NDArray[np.float64]:
        """Probability of each item to be in any of the windows that a candidate took part in, ``(candidates, items)``.

        Where it is the same for all items, it is the share that the candidate has answered: given how many these are,
        any as many are as likely, however windows overlap or avoid each other. Else windows are taken for independent
        given the records. Who has answered every item was asked for certain.
        """
        found = 1.0 - self._missed[task].array[: len(self)]
        answered = self._answered[task].array[: len(self)]
        equal = np.ptp(found, axis=1) <= _EQUAL
        units = answered if task not in self.codes else cluster_means(answered, self.codes[task])
        found[equal] = units[equal].mean(axis=1, keepdims=True)
        found[(answered > 0.0).all(axis=1)] = 1.0
        return found

    def weights(self, task: str) -> NDArray[np.float64]:
        """Weights of all answers to a task, ``(candidates, items)``; 0 where there is no answer."""
        answered = self._answered[task].array[: len(self)] > 0.0
        return np.where(answered, 1.0 / np.maximum(self.inclusion(task), 1e-12), 0.0)

    def answers(self, column: Column) -> NDArray[np.float64]:
        """All answers of a column, ``(candidates, items)``."""
        return self._values[column].array[: len(self)]

    def history(self, batch: int, current: Sequence[str]) -> History:
        """The records before a batch, for a policy.

        Args:
            batch: Its number.
            current: The candidates that are in the population now.
        """
        now = np.zeros(len(self), dtype=bool)
        now[self.rows(current)] = True
        first = {task: column for column in reversed(self.columns) for task in column[:1]}
        tasks = {}
        for task, ids in self.pool.items():
            column = first.get(task)
            known = column is not None and column not in self.unexplained
            values = self.answers(column) if column and known else np.full((len(self), len(ids)), np.nan)
            tasks[task] = TaskAnswers(values, self._windows[task], now)
        return History(batch, tasks, self.genomes)


class _Grid:
    """An array of candidates and items that gets rows."""

    def __init__(self, width: int, fill: float) -> None:
        self.array = np.full((16, width), fill)
        self._fill = fill

    def extend(self, rows: int) -> None:
        """Makes room."""
        if rows > len(self.array):
            self.array = np.concatenate([self.array, np.full_like(self.array, self._fill)])
