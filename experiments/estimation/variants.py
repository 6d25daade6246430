"""Estimators as they are compared: with which options, and learning from whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evomerge.analysis import estimators
from evomerge.analysis.estimators import Answers, Estimates
from experiments.estimation.cells import Array, Cell, Draw, Rows


@dataclass(frozen=True)
class Variant:
    """An estimator with its options.

    Attributes:
        label: Its name in tables.
        estimator: Its name in the package.
        known: Who has answered everything: ``population`` (baselines and probes), ``outside`` (baselines and models
            from elsewhere, as a leaderboard's), ``baselines``.
        options: Its options; those left out have their defaults.
        subtasks: Whether it is told the items' subtasks.
        together: Whether the targets learn from each other, and not only from who has answered everything.
    """

    label: str
    estimator: str
    known: str = "population"
    options: Mapping[str, Any] = field(default_factory=dict)
    subtasks: bool = False
    together: bool = False

    def estimates(
        self, cell: Cell, draw: Draw, cases: Sequence[Array], chances: Array | None = None
    ) -> list[Estimates]:
        """Estimates of a draw's targets, for each of some choices of items.

        Args:
            cell: The population.
            draw: The repeat.
            cases: Answers of the targets, ``(targets, items)`` each; NaN where they were not asked.
            chances: Probability of each item to be asked, ``(items,)``, of a single case; None for equal ones.
        """
        if self.together and len(cases) > 1:
            return [self.estimates(cell, draw, [case])[0] for case in cases]
        known, targets = self._known(cell, draw), np.tile(draw.targets, len(cases))
        table = Answers(
            np.concatenate([cell.values[known], *cases]),
            inclusion=chances,
            genomes=cell.genomes[np.concatenate([known, targets])],
            strata=cell.strata if self.subtasks else None,
            experts=tuple(int(place) for place in np.flatnonzero(np.isin(known, cell.experts))),
        )
        places = np.arange(len(known), len(table.values))
        found = estimators.estimate(self.estimator, table, places, **self.options)
        return [found.take(part) for part in np.split(np.arange(len(places)), len(cases))]

    def _known(self, cell: Cell, draw: Draw) -> Rows:
        others = {"population": draw.probes, "outside": cell.outside, "baselines": draw.probes[:0]}
        return np.concatenate([cell.baselines, others[self.known]])


MEAN = Variant("mean", "mean")
VARIANTS = (
    MEAN,
    Variant("stratified by difficulty", "stratified"),
    Variant("stratified by subtask", "stratified", subtasks=True),
    Variant("control variate", "control_variate"),
    Variant("aipw", "aipw"),
    Variant("aipw, baselines alone", "aipw", "baselines"),
    Variant("aipw, outside pool", "aipw", "outside"),
    Variant("low rank", "low_rank", together=True),
    Variant("surrogate", "surrogate", together=True),
    Variant("posterior", "posterior", together=True),
    Variant("posterior on means", "posterior", options={"scores": "mean"}, together=True),
    Variant("p-IRT", "p_irt"),
    Variant("gp-IRT", "gp_irt"),
    Variant("mp-IRT", "mp_irt"),
    Variant("gmp-IRT", "gmp_irt"),
    Variant("gmp-IRT, outside pool", "gmp_irt", "outside"),
)
