"""Estimators of a score over all items from answers to some. The folder is the registry, a file's name its name.

An estimator takes a table of answers of many candidates to the items of one task (`Answers`: NaN where an item was not
asked, with inclusion probabilities, strata, clusters and genomes where there are any) and gives the rows asked for a
value and a standard error each (`Estimates`), with the covariance that common items bring. The score is the mean over
the items of the table. All of it is a function of the table and the options: no state, no global generator.

A new estimator is one file, ``evomerge/analysis/estimators/myestimator.py``, with ``ESTIMATOR = EstimatorSpec(...)``:
its name, its title with the source, its options with defaults, ranges and help, what it needs, and ``estimate``. Names
with a leading underscore are shared parts: `assembled` gives an estimate from a sample its variance, `cross_fitted`
corrects any predictions. Nothing else is edited: `load` finds the file and ``tests/contracts`` runs the contract
(:mod:`evomerge.contracts.estimator`) on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evomerge.analysis.estimators._shared.answers import Answers, Array, Indices
from evomerge.analysis.estimators._shared.estimates import Estimates
from evomerge.analysis.estimators._shared.spec import EstimatorSpec
from evomerge.analysis.intervals import Interval
from evomerge.errors import InputError
from evomerge.registry import Registry

__all__ = ["Answers", "Array", "Estimates", "EstimatorSpec", "estimate", "load", "names", "paired", "table"]

_REGISTRY = Registry[EstimatorSpec](__name__, __path__, "ESTIMATOR", "estimator")
names = _REGISTRY.names
load = _REGISTRY.load


def estimate(name: str, answers: Answers, rows: Sequence[int] | Indices | None = None, **options: Any) -> Estimates:
    """Estimates scores.

    Args:
        name: One of `names`.
        answers: The table; rows that are not asked for are learnt from.
        rows: The rows wanted, in the order wanted; None for all.
        **options: Options of the estimator; those left out have their defaults.

    Raises:
        InputError: If the name or an option is unknown, a value is out of range, or the table lacks what it needs.
    """
    spec = load(name)
    problems = spec.problems(options) + spec.misfit(answers)
    if problems:
        raise InputError(problems)
    wanted = np.arange(len(answers.values)) if rows is None else np.asarray(rows, dtype=np.int64)
    return spec.estimate(answers, wanted, spec.complete(options))


def paired(name: str, answers: Answers, rows: tuple[int, int], confidence: float = 0.95, **options: Any) -> Interval:
    """The difference of two rows on the items that both were asked.

    `Estimates.difference` uses all that either answered, and the covariance on what they share; this leaves out what
    only one of them was asked, as a comparison between rungs of a race does.

    Args:
        name: One of `names`.
        answers: The table.
        rows: Difference of the first and the second of them.
        confidence: Long-run share of intervals that hold the truth.
        **options: As for `estimate`.

    Raises:
        InputError: As for `estimate`.
    """
    first, second = rows
    common = answers.asked[first] & answers.asked[second]
    return estimate(name, answers.only(rows, common), rows, **options).difference(0, 1, confidence)


def table() -> str:
    """All estimators, as a Markdown table."""
    rows = [f"| `{spec.name}` | {spec.title} |" for spec in map(load, names())]
    return "\n".join(["| estimator | what it does |", "|---|---|", *rows])
