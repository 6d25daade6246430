"""The items on which models disagree most, after DISCO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evomerge.analysis.allocation.item_choice import disagreement
from evomerge.analysis.allocation.sampling import simple
from evomerge.options import Option
from evomerge.search.allocation.history import TaskAnswers
from evomerge.search.allocation.policies._shared.spec import PolicySpec
from evomerge.search.allocation.window import Choice


def choose(answers: TaskAnswers, size: int, options: Mapping[str, Any], random: np.random.Generator) -> Choice:
    """The top items by disagreement, ties broken by chance, and a random audit of the others if it is wanted.

    The models are the baselines and the first batch, which answer every item, as the source models of the paper do;
    with ``sources=all`` also what later candidates have answered. Answers outside of [0, 1] are scaled to it first.
    """
    values = answers.whole if options["sources"] == "whole" and len(answers.whole) > 1 else answers.values
    score = disagreement(_scaled(values))
    audit = min(round(options["audit"] * size), answers.pool - size)
    order = np.lexsort((random.random(answers.pool), -score))
    top, rest = order[: size - audit], order[size - audit :]
    sampled = simple(random, rest, audit)
    rows = np.concatenate([top, sampled])
    inclusion = np.full(answers.pool, audit / max(len(rest), 1))
    inclusion[top] = 1.0
    return Choice(random.permutation(rows), inclusion)


def _scaled(values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    known = values[np.isfinite(values)]
    if not known.size or (known.min() >= 0.0 and known.max() <= 1.0):
        return values
    span = float(known.max() - known.min())
    return (values - known.min()) / span if span > 0.0 else np.where(np.isfinite(values), 0.5, np.nan)


POLICY = PolicySpec(
    name="disagreement",
    title="the items on which models disagree most (after DISCO, Rubinstein et al. 2026, arXiv 2510.07959; right and "
    "wrong in place of all options' probabilities, and the plain mean in place of a model of signatures, are ours)",
    choose=choose,
    options={
        "audit": Option(0.0, None, float, "share of the items drawn at random from the others", 0.0, 0.9),
        "sources": Option("whole", ("whole", "all"), str, "whose answers count: who answered all items, or everyone"),
    },
    every_batch=False,
    probe=True,
)
