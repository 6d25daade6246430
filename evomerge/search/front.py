"""The feasible candidates that no other dominates, kept while candidates come."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis.archive import Archive
from evomerge.analysis.pareto import hypervolume
from evomerge.evaluation import Evaluation
from evomerge.search.criteria import Criteria

__all__ = ["Front"]


class Front:
    """A search's Pareto front. Adding a candidate costs a comparison with the front, however many came before.

    Args:
        criteria: Which candidates are feasible, and what is better.

    Attributes:
        failures: Failed candidates added so far.
    """

    def __init__(self, criteria: Criteria) -> None:
        self.failures = 0
        self._criteria = criteria
        self._archive: Archive[Evaluation] = Archive(len(criteria.objectives))

    def __len__(self) -> int:
        """Number of members."""
        return len(self._archive)

    def add(self, evaluation: Evaluation) -> bool:
        """Adds a candidate.

        Returns:
            Whether it is feasible and no earlier candidate is at least as good in every objective.
        """
        if evaluation.error is not None:
            self.failures += 1
            return False
        return self._criteria.feasible(evaluation) and self._archive.add(
            self._criteria.minimised(evaluation), evaluation
        )

    def extend(self, evaluations: Iterable[Evaluation]) -> bool:
        """Adds candidates; whether any of them improved the front."""
        improved = False
        for evaluation in evaluations:
            improved = self.add(evaluation) or improved
        return improved

    def members(self) -> list[Evaluation]:
        """The members, by split, batch and index."""
        return sorted(self._archive.keys, key=lambda evaluation: evaluation.order)

    def points(self) -> NDArray[np.float64]:
        """Objective values of the members, minimised, ``(members, objectives)``."""
        return self._archive.points

    def hypervolume(self, baselines: Iterable[Evaluation]) -> float | None:
        """Volume of score space that the front dominates, from the worst baseline score of each objective on.

        Args:
            baselines: Baselines on the same split; failed ones do not count.

        Returns:
            The volume, in natural units; None of a single objective, and where no baseline was scored.
        """
        rows = [self._criteria.minimised(evaluation) for evaluation in baselines if evaluation.error is None]
        if len(self._criteria.objectives) < 2 or not rows:
            return None
        return hypervolume(self.points(), np.max(rows, axis=0))

    def best(self) -> dict[str, float]:
        """Objective label to the best score of a feasible candidate, in natural units; empty while there is none."""
        ideal = self._archive.ideal
        if ideal is None:
            return {}
        signs = [-1.0 if objective.higher_is_better else 1.0 for objective in self._criteria.objectives]
        pairs = zip(self._criteria.objectives, signs, ideal.tolist(), strict=True)
        return {objective.label: sign * value for objective, sign, value in pairs}
