"""gp-IRT of tinyBenchmarks: p-IRT and the weighted mean, mixed by how far the model errs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evomerge.analysis.estimators._shared.answers import Answers, Indices
from evomerge.analysis.estimators._shared.estimates import Estimates
from evomerge.analysis.estimators._shared.irt import OPTIONS, Case, Result, estimate_with, published_delta
from evomerge.analysis.estimators._shared.spec import EstimatorSpec
from evomerge.options import Option


def estimate(answers: Answers, rows: Indices, options: Mapping[str, Any]) -> Estimates:
    """``delta`` times the weighted mean, the rest p-IRT; ``delta = b**2 / (v/n + b**2)``.

    As in tinyBenchmarks (training_irt, ``get_lambda``): b is the model's mean absolute error on held-out rows, v the
    mean variance of a row's answers, a quarter of it for anchors. The weights are those of the items' chances of being
    asked; k-means anchors with cluster weights, which the authors use, are a choice of items and not made here.
    """

    def formula(case: Case) -> Result:
        ability = case.bank.ability(case.responses, case.seen)
        predicted = case.mixed(case.values.mean(axis=1), ability)
        delta = published_delta(case, 4.0 if options["anchors"] else 1.0)
        return Result(delta * case.weighted + (1.0 - delta) * predicted, ability, delta)

    return estimate_with(formula, answers, rows, options)


ESTIMATOR = EstimatorSpec(
    name="gp_irt",
    title="gp-IRT (Polo et al. 2024, arXiv 2402.14992), its item bank fitted on other candidates",
    estimate=estimate,
    options={
        **OPTIONS,
        "anchors": Option(False, None, bool, "whether the items asked are anchors, with the authors' v/4"),
    },
    unit=True,
)
