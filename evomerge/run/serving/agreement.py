"""Scores of a sample of quantised candidates without quantisation, on the same items, for the report to compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from evomerge.candidate import Worker, WorkerSettings
from evomerge.candidate.settings import UNQUANTISED as UNROUNDED
from evomerge.errors import InputError
from evomerge.evaluation import PYTHON, PYTHON_ITEMS, Evaluation, Job, Response
from evomerge.fitness import TaskSuite
from evomerge.recipe import Recipe
from evomerge.store import UNQUANTISED, LeaseLost, RunStore, baselines, candidates

HERE = ("local", "processes")  # executors whose workers run where the search is driven, which can load the model too
Aggregate = Callable[[Sequence[Response]], Mapping[str, float]]
_SPREAD = 8  # candidates besides baselines and finalists, spread evenly over the search


def score_unquantised(
    store: RunStore, settings: WorkerSettings, suite: TaskSuite, aggregate: Aggregate, warn: Callable[[str], None]
) -> None:
    """Scores baselines, finalists and a few other candidates unquantised, and keeps what is new in the run's folder.

    Args:
        store: The run, whose search is over; nothing is done where its candidates were not quantised.
        settings: Of its workers.
        suite: Its tasks.
        aggregate: Metrics of responses.
        warn: Told why it could not be done.
    """
    if settings.quantise == UNROUNDED:
        return
    try:
        _score(store, settings, suite, aggregate)
    except LeaseLost:
        raise  # the folder is another process's
    except (InputError, MemoryError, RuntimeError) as error:
        warn(f"quantised and unquantised scores are not compared: {error}")


def _score(store: RunStore, settings: WorkerSettings, suite: TaskSuite, aggregate: Aggregate) -> None:
    kept = store.read_json(UNQUANTISED) or {}
    scores = dict(kept.get("scores") or {})
    left = [evaluation for evaluation in _sample(store) if evaluation.digest not in scores]
    if not left:
        return
    worker = Worker(replace(settings, quantise=UNROUNDED, verification=None), suite)
    for evaluation in left:
        answered: dict[str, tuple[str, ...]] = {}
        for response in store.responses(evaluation):
            if response.task != PYTHON:
                answered[response.task] = (*answered.get(response.task, ()), response.item)
        items = answered | (PYTHON_ITEMS if settings.functions else {})
        outcome = worker(Job.of(Recipe.from_json(evaluation.recipe), items, evaluation.ask))
        if outcome.error is None:
            scores[evaluation.digest] = dict(aggregate(outcome.responses))
            found = {"quantise": settings.quantise, "dtype": settings.dtype, "scores": scores}
            store.write_json(UNQUANTISED, found)


def _sample(store: RunStore) -> list[Evaluation]:
    """Baselines, finalists, and candidates spread over the search, as scored on all search items; each once."""
    scored = [one for one in candidates(store) if one.error is None]
    finalists = {one.digest for one in store.evaluations("test")}
    rows = np.unique(np.linspace(0, len(scored) - 1, min(len(scored), _SPREAD)).round().astype(int))
    wanted = [*baselines(store, "search").values(), *(one for one in scored if one.digest in finalists)]
    wanted += [scored[row] for row in rows]
    most = max((one.items for one in wanted), default=0)
    return list({one.digest: one for one in wanted if one.error is None and one.items == most}.values())
