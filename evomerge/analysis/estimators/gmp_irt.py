"""gmp-IRT of MERGE3: the mean of mp-IRT and of the weighted mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evomerge.analysis.estimators._shared.answers import Answers, Indices
from evomerge.analysis.estimators._shared.estimates import Estimates
from evomerge.analysis.estimators._shared.irt import OPTIONS, Case, Result, estimate_with
from evomerge.analysis.estimators._shared.spec import EstimatorSpec
from evomerge.analysis.estimators.mp_irt import formula as mp_irt

DELTA = 0.5


def formula(case: Case) -> Result:
    """Half the weighted mean, half mp-IRT."""
    merged = mp_irt(case)
    return Result(DELTA * case.weighted + (1.0 - DELTA) * merged.value, merged.ability, DELTA)


def estimate(answers: Answers, rows: Indices, options: Mapping[str, Any]) -> Estimates:
    """The formula of Mergenetic (``estimate_fitness``, ``delta=0.5``), with a bank of the table's own rows."""
    return estimate_with(formula, answers, rows, options)


ESTIMATOR = EstimatorSpec(
    name="gmp_irt",
    title="gmp-IRT of MERGE3 (Mencattini et al. 2025, arXiv 2502.10436), its item bank fitted on other candidates",
    estimate=estimate,
    options=OPTIONS,
    experts=2,
    unit=True,
)
