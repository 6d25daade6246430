"""The declaration of an estimator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evomerge.analysis.estimators._shared.answers import Answers, Indices
from evomerge.analysis.estimators._shared.estimates import Estimates
from evomerge.options import Option, problems, with_defaults

__all__ = ["EstimatorSpec"]

_ROUNDING = 1e-9
Estimate = Callable[[Answers, Indices, Mapping[str, Any]], Estimates]


@dataclass(frozen=True)
class EstimatorSpec:
    """One estimator, as its file declares it.

    Attributes:
        name: Its file's name.
        title: What it does, with its source, one line.
        estimate: Estimates of rows of a table; the options it gets are complete.
        options: Name to declaration.
        genomes: Whether it needs genomes.
        experts: How many rows of merged models it needs.
        unit: Whether it needs answers between 0 and 1.
        predicts: Whether it has a value for rows that answered nothing.
        exact: Whether a row that answered every item gets its mean, with a standard error of 0.
    """

    name: str
    title: str
    estimate: Estimate
    options: Mapping[str, Option] = field(default_factory=dict)
    genomes: bool = False
    experts: int = 0
    unit: bool = False
    predicts: bool = False
    exact: bool = True

    def problems(self, options: Mapping[str, Any]) -> list[str]:
        """One sentence for each option that is unknown or has a wrong value."""
        return problems(f"estimator {self.name}", self.options, options)

    def complete(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Options with the defaults of those that were left out."""
        return with_defaults(self.options, options)

    def misfit(self, answers: Answers) -> list[str]:
        """Why a table is not enough for it; empty if it is."""
        found = []
        if self.genomes and answers.genomes is None:
            found.append(f"estimator {self.name} needs genomes, and the table has none")
        if len(answers.experts) < self.experts:
            needed = f"the rows of at least {self.experts} merged models"
            found.append(f"estimator {self.name} needs {needed}, and the table names {len(answers.experts)}")
        known = answers.values[answers.asked]
        if self.unit and known.size and (known.min() < -_ROUNDING or known.max() > 1.0 + _ROUNDING):
            ends = f"{float(np.min(known)):g} to {float(np.max(known)):g}"
            found.append(f"estimator {self.name} needs answers between 0 and 1, and the table's go from {ends}")
        return found
