"""Predictions from the items' difficulty alone."""

from __future__ import annotations

import numpy as np

from evomerge.analysis.estimators._shared.answers import Answers, Array, Group, filled

__all__ = ["predictions"]


def predictions(answers: Answers, group: Group) -> Array:
    """A slope times each item's mean over the sources, ``(items,)``; 0 without sources."""
    if len(group.sources) == 0:
        return np.zeros(answers.values.shape[1])
    table = filled(answers.values[group.sources])
    difficulty = table.mean(axis=0)
    if len(table) == 1:
        others = np.setdiff1d(np.arange(len(answers.values)), group.sources)
        return difficulty * _slope(answers.values[others], np.broadcast_to(difficulty, (len(others), len(difficulty))))
    without = (table.sum(axis=0) - table) / (len(table) - 1)
    return difficulty * _slope(answers.values[group.sources], without)


def _slope(values: Array, inputs: Array) -> float:
    """Pooled regression within rows; 0 where the inputs do not vary."""
    asked = ~np.isnan(values)
    count = np.maximum(asked.sum(axis=1, keepdims=True), 1)
    x = np.where(asked, inputs, 0.0)
    moved = np.where(asked, x - x.sum(axis=1, keepdims=True) / count, 0.0)
    square = float((moved**2).sum())
    return float((moved * np.where(asked, values, 0.0)).sum()) / square if square > 1e-12 else 0.0
