"""Answers looked up in a table of recorded responses: searches are studied in seconds, without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.evaluation import Failure, Job, Outcome, Response
from evomerge.executors._shared import response_table
from evomerge.executors._shared.protocol import Executor, MakeWorker
from evomerge.executors._shared.response_table import Recorded, ResponseTable
from evomerge.executors._shared.spec import ExecutorSpec
from evomerge.executors.local import LocalExecutor
from evomerge.options import Option
from evomerge.recipe import Recipe, values_of, without_values

__all__ = ["EXECUTOR", "Recorded", "RecordedWorker", "example_table"]

NEIGHBOURS = 8  # recorded candidates that an interpolated answer is a mean of

Vector = NDArray[np.float64]
Key = tuple[str, str]
_Kind = tuple[str, tuple[tuple[str, tuple[int, ...]], ...]]  # digest without coefficients, shapes of the coefficients


class RecordedWorker:
    """A worker that answers from recorded candidates.

    Args:
        candidates: The recorded candidates, or their table as `response_table.read_table` reads it.
        unknown: The answer of a recipe that was not recorded: ``refuse``, ``nearest`` or ``interpolated``. Only
            recipes that differ from it in nothing but the values of the coefficients are its neighbours; distance is
            Euclidean over all coefficients.
    """

    def __init__(self, candidates: Sequence[Recorded] | ResponseTable, unknown: str = "refuse") -> None:
        self._unknown = unknown
        self._table = candidates if isinstance(candidates, ResponseTable) else ResponseTable.of(candidates)
        self.candidates = self._table.candidates
        self._by_digest = {candidate.recipe.digest: row for row, candidate in enumerate(self.candidates)}
        self._alike: dict[_Kind, list[int]] = {}
        for row in self._by_digest.values():
            self._alike.setdefault(_kind(self.candidates[row].recipe), []).append(row)
        self._points = {
            kind: np.array([_point(self.candidates[row].recipe) for row in alike])
            for kind, alike in self._alike.items()
        }

    def __call__(self, job: Job) -> Outcome:
        """The recorded responses; a failure of kind ``invalid`` where there are none."""
        recipe, keys = job.recipe, [(task, item) for task, ids in job.items.items() for item in ids]
        known = self._by_digest.get(recipe.digest)
        rows, weights = ([known], [1.0]) if known is not None else self._neighbours(recipe)
        if not rows:
            recorded = f"{len(self.candidates)} candidates were recorded"
            alike = len(self._alike.get(_kind(recipe), ()))
            hint = f", {alike} of them of its kind; unknown=nearest answers as the nearest of these" if alike else ""
            return _invalid(f"recipe {recipe.digest[:12]} was not recorded: {recorded}{hint}")
        first = self.candidates[rows[0]]
        if first.error is not None:
            return Outcome(error=first.error)
        answers = _looked_up(first, keys) if len(rows) == 1 else _mean(self._table, rows, weights, job.items)
        missing = [f"{item or 'the values'} of {task}" for task, item in keys if (task, item) not in answers]
        if missing:
            return _invalid(f"{len(missing)} of {len(keys)} items were not recorded, the first: {missing[0]}")
        return Outcome(tuple(Response(task, item, answers[task, item]) for task, item in keys))

    def _neighbours(self, recipe: Recipe) -> tuple[list[int], list[float]]:
        """Rows of the nearest recorded candidates of the recipe's kind and their weights; none if none may answer."""
        alike = self._alike.get(_kind(recipe))
        if alike is None or self._unknown == "refuse":
            return [], []
        distances = np.linalg.norm(self._points[_kind(recipe)] - _point(recipe), axis=1)
        nearest = np.argsort(distances, kind="stable")[: NEIGHBOURS if self._unknown == "interpolated" else 1]
        rows = [alike[place] for place in nearest]
        if len(rows) == 1 or self.candidates[rows[0]].error is not None:
            return rows[:1], [1.0]
        scored = [place for place in nearest if self.candidates[alike[place]].error is None]
        weights = 1.0 / np.maximum(distances[scored], 1e-12) ** 2  # Shepard 1968, doi:10.1145/800186.810616
        return [alike[place] for place in scored], (weights / weights.sum()).tolist()


def example_table() -> Path:
    """The table that comes with the package: candidates of the embedded example."""
    return Path(str(resources.files("evomerge") / "example" / "responses.jsonl"))


def _kind(recipe: Recipe) -> _Kind:
    shapes = sorted((name, values.shape) for name, values in values_of(recipe).items())
    return without_values(recipe).digest, tuple(shapes)


def _point(recipe: Recipe) -> Vector:
    values = values_of(recipe)
    return np.concatenate([values[name].ravel() for name in sorted(values)])


def _looked_up(candidate: Recorded, keys: Sequence[Key]) -> Mapping[Key, Mapping[str, Any]]:
    """A candidate's metrics of the wanted items, as far as it was asked them."""
    return {key: metrics for key in keys if (metrics := candidate.metrics.get(key)) is not None}


def _mean(
    table: ResponseTable, rows: Sequence[int], weights: Sequence[float], items: Mapping[str, Sequence[str]]
) -> Mapping[Key, Mapping[str, Any]]:
    """The weighted mean of every metric that all candidates have of the wanted items.

    Terms are added one after the other: no library chooses the order.
    """
    found: dict[Key, dict[str, Any]] = {}
    for task, ids in items.items():
        known = [item for item in ids if (task, item) in table.place]
        places = [table.place[task, item] for item in known]
        for name, column in table.values.get(task, {}).items():
            total = np.zeros((len(places), *column.shape[2:]))
            for row, weight in zip(rows, weights, strict=True):
                total = total + weight * column[row, places]
            for place in np.flatnonzero(~np.isnan(total.reshape(len(places), -1)).any(axis=1)):
                found.setdefault((task, known[place]), {})[name] = total[place].tolist()
    return found


def _invalid(message: str) -> Outcome:
    return Outcome(error=Failure("invalid", message))


def make(make_worker: MakeWorker, options: Mapping[str, Any]) -> Executor:
    """Makes the executor; no worker is made."""
    worker = RecordedWorker(response_table.read_table(_file(options)), options["unknown"])
    return LocalExecutor(lambda: worker, EXECUTOR.name)


def identity(options: Mapping[str, Any]) -> dict[str, str]:
    """The content of the table, and how recipes that are not in it are answered."""
    return {"table": response_table.digest(_file(options)), "unknown": options["unknown"]}


def check(options: Mapping[str, Any]) -> list[str]:
    """A missing table."""
    file = _file(options)
    return [] if file.exists() else [f"option table: there is no file or folder {file}"]


def _file(options: Mapping[str, Any]) -> Path:
    return Path(options["table"]).expanduser() if options["table"] is not None else example_table()


EXECUTOR = ExecutorSpec(
    name="recorded",
    title="nowhere: answers are looked up in a table of recorded responses",
    make=make,
    options={
        "table": Option(None, None, str, "recorded responses, a file or a folder; null: those of the embedded example"),
        "unknown": Option(
            "refuse",
            ("refuse", "nearest", "interpolated"),
            str,
            "how recipes that were not recorded are answered: not at all, as the nearest one, or with the mean of the "
            f"nearest {NEIGHBOURS} weighted by inverse squared distance",
        ),
    },
    in_process=True,
    needs_model=False,
    identity=identity,
    check=check,
)
