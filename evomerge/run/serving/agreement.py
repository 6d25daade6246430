"""Scores of a sample of quantised candidates without quantisation, on the same items, for the report to compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from evomerge.candidate import Worker, WorkerSettings
from evomerge.candidate.settings import UNQUANTISED as UNROUNDED
from evomerge.errors import InputError
from evomerge.evaluation import Evaluation, Job, Response
from evomerge.fitness import TaskSuite
from evomerge.recipe import Recipe
from evomerge.store import UNQUANTISED, LeaseLost, RunStore, baselines, candidates

HERE = ("local", "processes")  # executors whose workers run where the search is driven, which can load the model too
Aggregate = Callable[[Sequence[Response]], Mapping[str, float]]
_SPREAD = 8  # candidates besides baselines and finalists, spread evenly over the search
_FEW = 5  # candidates that an order of models is told from


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
    split, sample = _sample(store)
    kept = store.read_json(UNQUANTISED) or {}
    same = kept.get("split", "search") == split and kept.get("item_set") in (None, *(one.item_set for one in sample))
    scores = dict(kept.get("scores") or {}) if same else {}
    left = [evaluation for evaluation in sample if evaluation.digest not in scores]
    if not left:
        return
    worker = Worker(replace(settings, quantise=UNROUNDED, verification=None), suite)
    for evaluation in left:
        items: dict[str, tuple[str, ...]] = {}
        for response in store.responses(evaluation):
            items[response.task] = (*items.get(response.task, ()), response.item)
        outcome = worker(Job.of(Recipe.from_json(evaluation.recipe), items, evaluation.ask))
        if outcome.error is None:
            scores[evaluation.digest] = dict(aggregate(outcome.responses))
            on = {"split": split, "item_set": evaluation.item_set}
            store.write_json(
                UNQUANTISED, {"quantise": settings.quantise, "dtype": settings.dtype, **on, "scores": scores}
            )


def _sample(store: RunStore) -> tuple[str, list[Evaluation]]:
    """A split, and models that were all scored on the same of its items.

    That is the search split, unless few candidates were asked all of its items, and more were compared on the selection
    split by the same metrics.
    """
    search, selection = _scored(store, candidates(store), "search"), _scored(store, _compared(store), "selection")
    keys = {key for one in search for key in one.metrics}
    selection = [one for one in selection if keys <= set(one.metrics)]
    found, others = (sum(one.name is None for one in sample) for sample in (search, selection))
    return ("selection", selection) if found < min(_FEW, others) else ("search", search)


def _compared(store: RunStore) -> list[Evaluation]:
    """Candidates on the selection split, each as it was asked the most items."""
    found = [one for one in store.evaluations("selection") if one.name is None]
    return list({one.digest: one for one in sorted(found, key=lambda one: one.items)}.values())


def _scored(store: RunStore, found: Sequence[Evaluation], split: str) -> list[Evaluation]:
    """Baselines, finalists, and candidates spread over all, as scored on all items of a split; each once."""
    scored = [one for one in found if one.error is None]
    finalists = {one.digest for one in store.evaluations("test")}
    rows = np.unique(np.linspace(0, len(scored) - 1, min(len(scored), _SPREAD)).round().astype(int))
    wanted = [*baselines(store, split).values(), *(one for one in scored if one.digest in finalists)]
    wanted = [one for one in [*wanted, *(scored[row] for row in rows)] if one.error is None]
    most = max((one.items for one in wanted), default=0)
    sets = Counter(one.item_set for one in wanted if one.items == most)
    same = sets.most_common(1)[0][0] if sets else ""
    return list({one.digest: one for one in wanted if (one.items, one.item_set) == (most, same)}.values())
