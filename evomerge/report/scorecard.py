"""Scorecard of an evaluation: its score on every objective, item by item."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis import Interval, Stratum, stratified_score
from evomerge.analysis.contributions import contributions, group_weights
from evomerge.evaluation import LENGTH_METRICS, Evaluation, Objective, Response

Answers = Mapping[str, Mapping[str, Response]]  # by task and item


@dataclass(frozen=True)
class Scorecard:
    """One evaluation as the report shows it.

    Attributes:
        values: Objective label to score, in natural units.
        strata: Objective label to its items by task; empty where the metric is not explained by its items (a Python
            objective, an aggregate of unknown kind) and so has no interval.
        truncated: Share of the responses that reached their length limit.
        cuts: Task to whether each of its answers did, as far as they were generated; of all tasks that were asked.
    """

    values: Mapping[str, float]
    strata: Mapping[str, tuple[Stratum, ...]]
    truncated: float = 0.0
    cuts: Mapping[str, Stratum] = field(default_factory=dict)

    def interval(self, label: str) -> Interval:
        """The score with its interval; unbounded where the items do not explain the metric."""
        strata = self.strata[label]
        if not strata:
            return Interval(self.values[label], math.inf, -math.inf, math.inf)
        return stratified_score(strata)


def scorecard(
    evaluation: Evaluation,
    responses: Sequence[Response],
    objectives: Sequence[Objective],
    clusters: Mapping[str, str] | None = None,
) -> Scorecard | None:
    """Reads an evaluation's scores.

    Args:
        evaluation: The evaluation.
        responses: Its responses.
        objectives: The run's objectives.
        clusters: Cluster of each item that belongs to one; intervals count whole clusters.

    Returns:
        The scorecard, or None when the evaluation failed or lacks an objective's metric.
    """
    keys = {key for objective in objectives for _, key in objective.terms}
    if evaluation.error is not None or any(key not in evaluation.metrics for key in keys):
        return None
    answers: dict[str, dict[str, Response]] = {}
    for response in responses:
        answers.setdefault(response.task, {})[response.item] = response
    values = {objective.label: objective.value(evaluation.metrics) for objective in objectives}
    strata = {
        objective.label: _strata(objective, evaluation.metrics, answers, clusters or {}) for objective in objectives
    }
    truncated = sum(response.truncated for response in responses) / len(responses) if responses else 0.0
    cuts = {task: cut for task, own in answers.items() if (cut := _cuts(task, own, clusters or {})) is not None}
    return Scorecard(values, strata, truncated, cuts)


def _strata(
    objective: Objective, metrics: Mapping[str, float], answers: Answers, clusters: Mapping[str, str]
) -> tuple[Stratum, ...]:
    columns: dict[str, list[tuple[float, NDArray[np.float64]]]] = {}
    for weight, key in objective.terms:
        name, metric = key.rsplit(".", 1)
        for task, share in _tasks(name, metric, metrics, answers).items():
            values = _contributions(task, metric, metrics, answers)
            if values is None:
                return ()
            columns.setdefault(task, []).append((weight * share, values))
    lengths = all(key.rpartition(".")[2] in LENGTH_METRICS for _, key in objective.terms)
    strata = []
    for task, column in columns.items():
        items = tuple(sorted(answers[task]))
        weight, values = column[0]
        if len(column) > 1:  # several metrics of the same items are not independent: they are added item by item
            weight, values = 1.0, np.sum([weight * values for weight, values in column], axis=0)
        # Of a length itself truncation is no rival explanation.
        truncated = None if lengths else _truncated(answers[task], items)
        strata.append(Stratum(task, items, values, weight, _labels(items, clusters), truncated))
    return tuple(strata)


def _labels(items: Sequence[str], clusters: Mapping[str, str]) -> tuple[str, ...] | None:
    """The cluster of each item; None where each stands alone."""
    return tuple(clusters.get(item, item) for item in items) if any(map(clusters.__contains__, items)) else None


def _cuts(task: str, answers: Mapping[str, Response], clusters: Mapping[str, str]) -> Stratum | None:
    """Whether each answer of a task reached its length limit, 0 or 1; None where none was generated."""
    items = tuple(sorted(answers))
    truncated = _truncated(answers, items)
    if truncated is None:
        return None
    return Stratum(task, items, truncated.astype(np.float64), 1.0, _labels(items, clusters))


def _truncated(answers: Mapping[str, Response], items: Sequence[str]) -> NDArray[np.bool_] | None:
    """Whether each answer reached its length limit; None where none was generated."""
    if not any(answers[item].texts for item in items):
        return None
    return np.array([answers[item].truncated for item in items], dtype=np.bool_)


def _contributions(
    task: str, metric: str, metrics: Mapping[str, float], answers: Answers
) -> NDArray[np.float64] | None:
    """Contributions of a task's items to its metric, in the order of the item ids."""
    own = answers.get(task, {})
    values = [own[item].metrics.get(metric) for item in sorted(own)]
    if not values or None in values:
        return None
    return contributions(values, metrics.get(f"{task}.{metric}", math.nan))


def _tasks(name: str, metric: str, metrics: Mapping[str, float], answers: Answers) -> dict[str, float]:
    """Weights of the tasks in a score: the task itself, or those of a task group."""
    if name in answers or f"{name}.{metric}" not in metrics:
        return {name: 1.0}
    scores = {task: metrics[f"{task}.{metric}"] for task in answers if f"{task}.{metric}" in metrics}
    sizes = {task: len(own) for task, own in answers.items()}
    for group in ({task: score for task, score in scores.items() if task.startswith(f"{name}_")}, scores):
        weights = group_weights(metrics[f"{name}.{metric}"], group, sizes)
        if weights:
            return weights
    return {name: 1.0}
