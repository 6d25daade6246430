"""mp-IRT of MERGE3: p-IRT with an ability that is a linear combination of the merged models' abilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evomerge.analysis.estimators._shared.answers import Answers, Indices
from evomerge.analysis.estimators._shared.estimates import Estimates
from evomerge.analysis.estimators._shared.irt import OPTIONS, Case, Result, estimate_with
from evomerge.analysis.estimators._shared.item_bank import logistic_map
from evomerge.analysis.estimators._shared.spec import EstimatorSpec


def formula(case: Case) -> Result:
    """``n/N`` times the weighted mean of the answers, the rest times the mean curve at the combined ability.

    The weights of the combination are fitted to the answers, from equal ones, as the code of MERGE3 does; with a single
    merged model the ability is its own.
    """
    abilities = case.experts
    count = len(abilities)
    if count == 1:
        ability = np.repeat(abilities, len(case.values), axis=0)
    else:
        inputs = case.bank.discrimination[case.seen] @ abilities.T
        equal = np.full(count, 1.0 / count)
        ability = logistic_map(inputs, case.bank.difficulty[case.seen], case.responses, equal) @ abilities
    return Result(case.mixed(case.weighted, ability), ability)


def estimate(answers: Answers, rows: Indices, options: Mapping[str, Any]) -> Estimates:
    """The formula of Mergenetic (``eval_mpirt_on_anchors``), with a bank of the table's own rows.

    The paper's text could not be read; the formula is that of its authors' library. Theirs takes the models' abilities
    from their answers to the anchors, ours from all their answers.
    """
    return estimate_with(formula, answers, rows, options)


ESTIMATOR = EstimatorSpec(
    name="mp_irt",
    title="mp-IRT of MERGE3 (Mencattini et al. 2025, arXiv 2502.10436), its item bank fitted on other candidates",
    estimate=estimate,
    options=OPTIONS,
    experts=1,
    unit=True,
)
