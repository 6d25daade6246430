"""An evaluation's scores per objective, item by item, and the comparison of two evaluations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis import Interval, interval, is_binary, paired_difference, weighted_sum
from evomerge.evaluation import Evaluation, Objective, Response
from evomerge.report.contributions import contributions

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Part:
    """What the items of one task add to an objective.

    Attributes:
        task: The task.
        items: Item ids, sorted.
        values: One value per item, ``(items,)``.
        weight: The objective's weight of their mean.
    """

    task: str
    items: tuple[str, ...]
    values: NDArray[np.float64]
    weight: float


@dataclass(frozen=True)
class Sheet:
    """One evaluation as the report reads it.

    Attributes:
        values: Objective label to score, in natural units.
        parts: Objective label to its parts by task, or None where the metric is not explained by its items (a Python
            objective, an aggregate of unknown kind) and so has no interval.
        truncated: Share of the responses that reached their length limit.
    """

    values: Mapping[str, float]
    parts: Mapping[str, tuple[Part, ...] | None]
    truncated: float = 0.0

    def interval(self, label: str) -> Interval:
        """The score with its interval; unbounded where the items do not explain the metric."""
        parts = self.parts[label]
        if not parts:
            return Interval(self.values[label], math.inf, -math.inf, math.inf)
        single = [interval(part.values, is_binary(part.values), CONFIDENCE) for part in parts]
        return _combined(single, parts)


def sheet(evaluation: Evaluation, responses: Sequence[Response], objectives: Sequence[Objective]) -> Sheet | None:
    """Reads an evaluation's scores.

    Args:
        evaluation: The evaluation.
        responses: Its responses.
        objectives: The run's objectives.

    Returns:
        The sheet, or None when the evaluation failed or lacks an objective's metric.
    """
    keys = {key for objective in objectives for _, key in objective.terms}
    if evaluation.error is not None or any(key not in evaluation.metrics for key in keys):
        return None
    by_task: dict[str, dict[str, Response]] = {}
    for response in responses:
        by_task.setdefault(response.task, {})[response.item] = response
    values = {objective.label: objective.value(evaluation.metrics) for objective in objectives}
    parts = {objective.label: _parts(objective, evaluation, by_task) for objective in objectives}
    truncated = sum(response.truncated for response in responses) / len(responses) if responses else 0.0
    return Sheet(values, parts, truncated)


def _parts(
    objective: Objective, evaluation: Evaluation, by_task: Mapping[str, Mapping[str, Response]]
) -> tuple[Part, ...] | None:
    columns: dict[str, list[tuple[float, NDArray[np.float64]]]] = {}
    for weight, key in objective.terms:
        task, metric = key.rsplit(".", 1)
        for leaf, share in (_leaves(task, metric, evaluation.metrics, by_task) or {task: 1.0}).items():
            answers = by_task.get(leaf, {})
            raw = [answers[item].metrics.get(metric) for item in sorted(answers)]
            recorded = evaluation.metrics.get(f"{leaf}.{metric}", math.nan)
            values = contributions(raw, recorded) if raw and None not in raw else None
            if values is None:
                return None
            columns.setdefault(leaf, []).append((weight * share, values))
    parts = []
    for task, column in columns.items():
        items = tuple(sorted(by_task[task]))
        if len(column) == 1:
            parts.append(Part(task, items, column[0][1], column[0][0]))
        else:  # several metrics of the same items are not independent: they are added item by item
            total = np.sum([weight * values for weight, values in column], axis=0)
            parts.append(Part(task, items, total, 1.0))
    return tuple(parts)


def _leaves(
    name: str, metric: str, metrics: Mapping[str, float], by_task: Mapping[str, Mapping[str, Response]]
) -> dict[str, float] | None:
    """The tasks that a task group's score is the mean of, with their weights.

    Which tasks, and whether by size or evenly, is seen from the numbers, as for `contributions`.
    """
    if name in by_task or f"{name}.{metric}" not in metrics:
        return None
    known = [task for task in by_task if f"{task}.{metric}" in metrics]
    for tasks in ([task for task in known if task.startswith(f"{name}_")], known):
        for sizes in ([float(len(by_task[task])) for task in tasks], [1.0] * len(tasks)):
            shares = {task: size / sum(sizes) for task, size in zip(tasks, sizes, strict=True)}
            mean = math.fsum(share * metrics[f"{task}.{metric}"] for task, share in shares.items())
            if shares and math.isclose(mean, metrics[f"{name}.{metric}"], rel_tol=1e-6, abs_tol=1e-9):
                return shares
    return None


def difference(first: Sheet, second: Sheet, label: str, confidence: float = CONFIDENCE) -> Interval | None:
    """The paired difference ``first - second`` of one objective; tasks are independent strata.

    Returns:
        The difference with its interval, or None when the two did not answer the same items.
    """
    ours, theirs = first.parts[label], second.parts[label]
    if not ours or not theirs or [(p.task, p.items) for p in ours] != [(p.task, p.items) for p in theirs]:
        return None
    pairs = zip(ours, theirs, strict=True)
    return _combined([paired_difference(a.values, b.values, confidence) for a, b in pairs], ours)


def p_value(first: Sheet, second: Sheet, label: str) -> float | None:
    """Two-sided p-value of a paired difference: one minus the confidence at which its interval reaches zero.

    Returns:
        The p-value, never below 1e-7; None when the items say nothing.
    """
    found = difference(first, second, label)
    if found is None or not math.isfinite(found.se):
        return None
    low, high = 1e-12, 1.0 - 1e-12
    for _ in range(24):
        middle = 0.5 * (low + high)
        at = difference(first, second, label, middle)
        if at is not None and (at.low > 0.0 or at.high < 0.0):
            low = middle
        else:
            high = middle
    return 1.0 - low


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusts p-values for their number (Holm 1979, Scandinavian Journal of Statistics 6:65)."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = running
    return adjusted


def _combined(single: Sequence[Interval], parts: Sequence[Part]) -> Interval:
    if len(single) == 1 and parts[0].weight == 1.0:
        return single[0]
    return weighted_sum(single, [part.weight for part in parts])
