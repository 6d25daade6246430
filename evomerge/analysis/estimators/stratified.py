"""The mean over strata of items: parts of a task, or levels of difficulty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evomerge.analysis.estimators._shared.answers import Answers, Array, Group, Indices, filled
from evomerge.analysis.estimators._shared.design import assembled, hajek_weights
from evomerge.analysis.estimators._shared.estimates import Estimates
from evomerge.analysis.estimators._shared.sources import SHARE, SOURCES
from evomerge.analysis.estimators._shared.spec import EstimatorSpec
from evomerge.options import Option

FEWEST = 2
ANSWERS_PER_LEVEL = 5


def estimate(answers: Answers, rows: Indices, options: Mapping[str, Any]) -> Estimates:
    """The mean of the strata's means, each counting as its stratum has items.

    Strata of which a row answered fewer than two items, and levels of which it answered fewer than four, are joined
    with the next. The variance is that of the distances to the strata's means.
    """
    items = answers.values.shape[1]
    value, residuals = np.full(len(rows), np.nan), np.zeros((len(rows), items))
    for group in answers.groups(rows, answers.sources(options["share"], options["sources"])):
        if len(group.seen):
            least = FEWEST if answers.strata is not None else ANSWERS_PER_LEVEL - 1
            strata = _joined(_strata(answers, group, options["strata"]), group.seen, least)
            value[group.places], residuals[group.places] = _within(answers, group.rows, strata)
    return assembled(answers, rows, value, residuals, centre=np.zeros_like(residuals))


def _strata(answers: Answers, group: Group, count: int) -> Indices:
    """The strata of the task, else equally large levels of difficulty by the sources; one level without sources.

    There are no more levels than every fifth answer: with fewer in each, its own variance is hardly known.
    """
    items = answers.values.shape[1]
    if answers.strata is not None:
        return np.unique(answers.strata, return_inverse=True)[1].reshape(-1)
    if len(group.sources) == 0:
        return np.zeros(items, dtype=np.int64)
    difficulty = filled(answers.values[group.sources]).mean(axis=0)
    levels = max(1, min(count, len(group.seen) // ANSWERS_PER_LEVEL))
    rank = np.argsort(np.argsort(difficulty, kind="stable"), kind="stable")
    return rank * levels // items


def _joined(strata: Indices, seen: Indices, least: int) -> Indices:
    """Strata in their order, joined until each has as many answered items as wanted or there is only one."""
    found = np.zeros_like(strata)
    answered = np.bincount(strata[seen], minlength=int(strata.max()) + 1)
    number, held = 0, 0
    for stratum, count in enumerate(answered):
        if held >= least and answered[stratum:].sum() >= least:
            number, held = number + 1, 0
        found[strata == stratum] = number
        held += int(count)
    return found


def _within(answers: Answers, rows: Indices, strata: Indices) -> tuple[Array, Array]:
    """Estimates of rows, and their distances to the strata's means, each as long as its weight wants it."""
    shares, asked = hajek_weights(answers, rows), answers.asked[rows]
    held = np.where(asked, answers.values[rows], 0.0)
    value, residuals = np.zeros(len(rows)), np.zeros_like(held)
    total = asked.sum(axis=1, keepdims=True)
    for stratum in range(int(strata.max()) + 1):
        inside = strata == stratum
        part = shares * inside
        weight = part.sum(axis=1, keepdims=True)
        mean = (part * held).sum(axis=1, keepdims=True) / weight
        value += inside.mean() * mean[:, 0]
        count = (asked & inside).sum(axis=1, keepdims=True)
        freedom = np.sqrt(count / np.maximum(count - 1, 1) * np.maximum(total - 1, 1) / total)
        residuals += np.where(inside & asked, (held - mean) * (inside.mean() / weight) * freedom, 0.0)
    return value, residuals


ESTIMATOR = EstimatorSpec(
    name="stratified",
    title="Mean over strata: parts of the task, else levels of difficulty by other candidates (Neyman 1934)",
    estimate=estimate,
    options={
        "strata": Option(5, None, int, "levels of difficulty, where the task has no parts of its own", low=1),
        "share": SHARE,
        "sources": SOURCES,
    },
)
