"""Answers looked up in a table of recorded responses: searches are studied in seconds, without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.evaluation import Failure, Job, Outcome, Response
from evomerge.executors._shared import response_table
from evomerge.executors._shared.protocol import Executor, MakeWorker
from evomerge.executors._shared.response_table import Recorded
from evomerge.executors._shared.spec import ExecutorSpec
from evomerge.executors.local import LocalExecutor
from evomerge.options import Option
from evomerge.recipe import Recipe

__all__ = ["EXECUTOR", "Recorded", "RecordedWorker", "example_table"]

NEIGHBOURS = 8  # recorded candidates that an interpolated answer is a mean of

Vector = NDArray[np.float64]
Key = tuple[str, str]
_Kind = tuple[str, tuple[tuple[str, tuple[int, ...]], ...]]  # digest without coefficients, shapes of the coefficients


class RecordedWorker:
    """A worker that answers from recorded candidates.

    Args:
        candidates: The recorded candidates.
        unknown: The answer of a recipe that was not recorded: ``refuse``, ``nearest`` or ``interpolated``. Only
            recipes that differ from it in nothing but the values of the coefficients are its neighbours; distance is
            Euclidean over all coefficients.
    """

    def __init__(self, candidates: Sequence[Recorded], unknown: str = "refuse") -> None:
        self.candidates = tuple(candidates)
        self._unknown = unknown
        self._by_digest = {candidate.recipe.digest: candidate for candidate in self.candidates}
        self._alike: dict[_Kind, list[Recorded]] = {}
        for candidate in self._by_digest.values():
            self._alike.setdefault(_kind(candidate.recipe), []).append(candidate)
        self._points = {
            kind: np.array([_point(candidate.recipe) for candidate in alike]) for kind, alike in self._alike.items()
        }

    def __call__(self, job: Job) -> Outcome:
        """The recorded responses; a failure of kind ``invalid`` where there are none."""
        recipe = job.recipe
        keys = [(task, item) for task, ids in job.items.items() for item in ids]
        found = self._by_digest.get(recipe.digest)
        if found is None and self._unknown != "refuse":
            found = self._neighbour(recipe, keys)
        if found is None:
            known = f"{len(self.candidates)} candidates were recorded"
            alike = len(self._alike.get(_kind(recipe), ()))
            hint = f", {alike} of them of its kind; unknown=nearest answers as the nearest of these" if alike else ""
            return _invalid(f"recipe {recipe.digest[:12]} was not recorded: {known}{hint}")
        if found.error is not None:
            return Outcome(error=found.error)
        answers = {key: metrics for key in keys if (metrics := found.metrics.get(key)) is not None}
        missing = [f"{item or 'the values'} of {task}" for task, item in keys if (task, item) not in answers]
        if missing:
            return _invalid(f"{len(missing)} of {len(keys)} items were not recorded, the first: {missing[0]}")
        return Outcome(tuple(Response(task, item, answers[task, item]) for task, item in keys))

    def _neighbour(self, recipe: Recipe, keys: Sequence[Key]) -> Recorded | None:
        """The nearest recorded candidate, or a mean of the nearest; None if no recorded one is of the recipe's kind."""
        alike = self._alike.get(_kind(recipe))
        if alike is None:
            return None
        distances = np.linalg.norm(self._points[_kind(recipe)] - _point(recipe), axis=1)
        nearest = np.argsort(distances, kind="stable")[: NEIGHBOURS if self._unknown == "interpolated" else 1]
        candidates = [alike[row] for row in nearest]
        if len(candidates) == 1 or candidates[0].error is not None:
            return candidates[0]
        scored = [row for row, candidate in zip(nearest, candidates, strict=True) if candidate.error is None]
        weights = 1.0 / np.maximum(distances[scored], 1e-12) ** 2  # Shepard 1968, doi:10.1145/800186.810616
        return _mean([alike[row] for row in scored], (weights / weights.sum()).tolist(), keys)


def example_table() -> Path:
    """The table that comes with the package: candidates of the embedded example."""
    return Path(str(resources.files("evomerge") / "example" / "responses.jsonl"))


def _kind(recipe: Recipe) -> _Kind:
    shapes = sorted((name, values.shape) for name, values in recipe.coefficients.items())
    return replace(recipe, coefficients={}).digest, tuple(shapes)


def _point(recipe: Recipe) -> Vector:
    return np.concatenate([recipe.coefficients[name].ravel() for name in sorted(recipe.coefficients)])


def _mean(candidates: Sequence[Recorded], weights: Sequence[float], keys: Sequence[Key]) -> Recorded:
    """The weighted mean of every metric that all candidates have of the wanted items."""
    metrics = {}
    for key in keys:
        answers = [answer for candidate in candidates if (answer := candidate.metrics.get(key)) is not None]
        if len(answers) == len(candidates):
            names = [name for name in answers[0] if all(name in answer for answer in answers)]
            metrics[key] = {name: _weighted([answer[name] for answer in answers], weights) for name in names}
    return Recorded(candidates[0].recipe, metrics)


def _weighted(values: Sequence[Any], weights: Sequence[float]) -> Any:
    """The weighted sum of numbers or of pairs, term by term: no library chooses the order."""
    if isinstance(values[0], Sequence):
        return [_weighted(column, weights) for column in zip(*values, strict=True)]
    total = 0.0
    for weight, value in zip(weights, values, strict=True):
        total += weight * value
    return total


def _invalid(message: str) -> Outcome:
    return Outcome(error=Failure("invalid", message))


def make(make_worker: MakeWorker, options: Mapping[str, Any]) -> Executor:
    """Makes the executor; no worker is made."""
    worker = RecordedWorker(response_table.read(_file(options)), options["unknown"])
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
