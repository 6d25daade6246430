"""p-IRT of tinyBenchmarks: what was answered, and an item response model's expectation of the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evomerge.analysis.estimators._shared.answers import Answers, Indices
from evomerge.analysis.estimators._shared.estimates import Estimates
from evomerge.analysis.estimators._shared.irt import OPTIONS, Case, Result, estimate_with
from evomerge.analysis.estimators._shared.spec import EstimatorSpec


def formula(case: Case) -> Result:
    """``n/N`` times the mean of the answers, the rest times the mean curve over unseen items."""
    ability = case.bank.ability(case.responses, case.seen)
    return Result(case.mixed(case.values.mean(axis=1), ability), ability)


def estimate(answers: Answers, rows: Indices, options: Mapping[str, Any]) -> Estimates:
    """The formula of tinyBenchmarks (evaluate, ``IRTp``), with a bank of the table's own rows."""
    return estimate_with(formula, answers, rows, options)


ESTIMATOR = EstimatorSpec(
    name="p_irt",
    title="p-IRT (Polo et al. 2024, arXiv 2402.14992), its item bank fitted on other candidates",
    estimate=estimate,
    options=OPTIONS,
    unit=True,
)
