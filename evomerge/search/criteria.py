"""From evaluations to the values a searcher is told: signs flip and failures get numbers here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis.diversity.grid import Grid
from evomerge.errors import InputError
from evomerge.evaluation import Constraint, Evaluation, ItemLists, Measure, Objective, Response

__all__ = ["Criteria", "unfit_for_items"]

Array = NDArray[np.float64]


class Criteria:
    """Objectives and constraints: they turn evaluations into values to minimise, ``F``, and constraints ``G <= 0``.

    The last constraint says whether the candidate could be scored at all. A failed one gets, on every objective, the
    worst value seen plus a margin as wide as the range seen, and a violation beyond every violation seen. "Seen" means
    told so far, this batch included, so it depends on the records alone.

    Args:
        objectives: What to improve.
        constraints: What candidates must meet.
        baselines: Name to evaluation on the items that candidates are asked too, for relative constraints, and for the
            ranges of measures.
        measures: What an archive of elites is spread over.
        cells: Number of its cells along each measure.

    Raises:
        InputError: if a baseline that a constraint is relative to has failed or is missing, or a metric is not
            recorded.
    """

    def __init__(
        self,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint],
        baselines: Mapping[str, Evaluation],
        measures: Sequence[Measure] = (),
        cells: int = 1,
    ) -> None:
        self.objectives = tuple(objectives)
        self.constraints = tuple(constraints)
        self.measures = tuple(measures)
        self.n_con = len(self.constraints) + 1
        self._check_metrics(baselines)
        self._references = [_reference(constraint, baselines) for constraint in self.constraints]
        self._low = np.full(len(self.objectives), np.inf)
        self._high = np.full(len(self.objectives), -np.inf)
        self._violation = 0.0
        self.grid = self._grid(baselines, cells) if measures else None

    def minimised(self, evaluation: Evaluation) -> Array:
        """Objectives with the sign that makes less better, ``(m,)``; the evaluation must not be a failed one."""
        values = [o.value(evaluation.metrics) * (-1.0 if o.higher_is_better else 1.0) for o in self.objectives]
        return np.array(values)

    def violations(self, evaluation: Evaluation) -> Array:
        """How far each constraint is missed, ``(k,)``; 0 or less where it holds. Not for a failed evaluation."""
        pairs = zip(self.constraints, self._references, strict=True)
        return np.array([c.violation(evaluation.metrics, reference) for c, reference in pairs], dtype=np.float64)

    def feasible(self, evaluation: Evaluation) -> bool:
        """Whether a candidate was scored and meets every constraint."""
        return evaluation.error is None and bool((self.violations(evaluation) <= 0.0).all())

    def nearest(self, evaluations: Sequence[Evaluation]) -> tuple[Evaluation, dict[str, float]] | None:
        """The scored candidate that misses the constraints by least altogether.

        Args:
            evaluations: The candidates.

        Returns:
            The candidate, and for each constraint that it misses the label and by how much; None if none was scored.
        """
        scored = [evaluation for evaluation in evaluations if evaluation.error is None]
        if not scored:
            return None
        best = min(scored, key=lambda evaluation: float(np.maximum(self.violations(evaluation), 0.0).sum()))
        missed = zip(self.constraints, self.violations(best), strict=True)
        return best, {constraint.label: float(by) for constraint, by in missed if by > 0.0}

    def columns(self, batch: Sequence[Evaluation]) -> tuple[Array, Array]:
        """The values of a batch that the searcher is told.

        Args:
            batch: Evaluations in the order of the ask. Batches must come in order, as they move what has been seen.

        Returns:
            ``F`` of shape ``(n, m)`` and ``G`` of shape ``(n, k + 1)``, all finite.
        """
        F = np.zeros((len(batch), len(self.objectives)))
        G = np.zeros((len(batch), self.n_con))
        failed = np.array([evaluation.error is not None for evaluation in batch], dtype=bool)
        for row, evaluation in enumerate(batch):
            if evaluation.error is None:
                F[row] = self.minimised(evaluation)
                G[row, :-1] = self.violations(evaluation)
        return self.completed(F, G, failed)

    def measured(self, batch: Sequence[Evaluation]) -> list[Array | None]:
        """The measures of a batch, ``(measures,)`` each; None of each where there are none.

        Args:
            batch: Evaluations in the order of the ask.
        """
        return self.placed([[m.value(e.metrics) for m in self.measures] if e.error is None else None for e in batch])

    def item_scores(self, evaluation: Evaluation, responses: Sequence[Response], items: ItemLists) -> Array:
        """The scores of the first objective's items, task after task; 0 for a failed evaluation.

        Args:
            evaluation: The evaluation.
            responses: Its answers.
            items: The items that it was asked.

        Raises:
            InputError: If single items have no scores of 0 or more that are better the more they are.
        """
        objective = self.objectives[0]
        if (problem := unfit_for_items(objective, items)) is not None:
            raise InputError(problem)
        tasks = [(key.rpartition(".")[0], key.rpartition(".")[2]) for _, key in objective.terms]
        known = {response.key: response.metrics for response in responses}
        wanted = [(task, item, metric) for task, metric in tasks for item in items.get(task, ())]
        if evaluation.error is not None:
            return np.zeros(len(wanted))
        values = [known[task, item].get(metric) for task, item, metric in wanted]
        if not all(isinstance(value, int | float) and value >= 0.0 for value in values):
            raise InputError(_unfit(objective, "some item has another score, or none"))
        return np.array(values, dtype=np.float64)

    def placed(self, rows: Sequence[Sequence[float] | None]) -> list[Array | None]:
        """The same of measures that are known; None among them stands for a failed candidate's."""
        if self.grid is None:
            return [None] * len(rows)
        return [np.array(self.grid.low if row is None else row, dtype=np.float64) for row in rows]

    def _grid(self, baselines: Mapping[str, Evaluation], cells: int) -> Grid:
        """The cells over the measures."""
        scored = [e.metrics for e in baselines.values() if e.error is None]
        reached = [[measure.value(metrics) for measure in self.measures] for metrics in scored]
        return Grid.spanning(reached, [(measure.low, measure.high) for measure in self.measures], cells)

    def completed(self, F: Array, G: Array, failed: NDArray[np.bool_]) -> tuple[Array, Array]:
        """Fills in the values of failed candidates, and takes those of the others for seen.

        Args:
            F: Objectives to minimise, ``(n, m)``.
            G: Constraints, the last column 0, ``(n, k + 1)``.
            failed: Which candidates could not be scored, ``(n,)``.

        Returns:
            Both arrays, all finite.
        """
        if not failed.all():
            self._low = np.minimum(self._low, F[~failed].min(axis=0))
            self._high = np.maximum(self._high, F[~failed].max(axis=0))
            self._violation = max(self._violation, float(np.maximum(G[~failed], 0.0).sum(axis=1).max()))
        if failed.any():
            seen = np.isfinite(self._high)
            span = np.where(seen & (self._high > self._low), self._high - self._low, 1.0)
            F[failed] = np.where(seen, self._high, 0.0) + span
            G[failed] = 0.0
            G[failed, -1] = self._violation + 1.0
        return F, G

    def _check_metrics(self, baselines: Mapping[str, Evaluation]) -> None:
        scored = [evaluation for evaluation in baselines.values() if evaluation.error is None]
        known = set(scored[0].metrics) if scored else set()
        named = [(o.label, key) for o in self.objectives for _, key in o.terms]
        named += [(c.label, c.metric) for c in self.constraints]
        named += [(m.label, key) for m in self.measures for _, key in m.terms]
        problems = [
            f"{label!r} needs the metric {key}, which was not recorded; recorded are {', '.join(sorted(known))}"
            for label, key in named
            if scored and key not in known
        ]
        if problems:
            raise InputError(problems)


def unfit_for_items(objective: Objective, items: ItemLists) -> str | None:
    """Why an objective cannot be told item by item; None where nothing speaks against it before items are scored.

    Args:
        objective: The objective.
        items: Task to items; those that candidates are asked in the search.
    """
    if not objective.higher_is_better or min(weight for weight, _ in objective.terms) < 0.0:
        return _unfit(objective, "less of it, or of a part of it, is better")
    owners = dict.fromkeys(key.rpartition(".")[0] for _, key in objective.terms)
    if without := [owner for owner in owners if not items.get(owner)]:
        return _unfit(objective, f"{', '.join(without)} has no items of its own; name tasks ({', '.join(items)})")
    return None


def _unfit(objective: Objective, why: str) -> str:
    return (
        f"objective {objective.label!r}: the searcher needs scores of single items, 0 or more and better the more they "
        f"are, as accuracies of tasks are, but {why}; choose such an objective, or another searcher"
    )


def _reference(constraint: Constraint, baselines: Mapping[str, Evaluation]) -> float:
    """The score that a relative constraint is measured from, on the same items."""
    found = constraint.reference({name: e.metrics for name, e in baselines.items() if e.error is None})
    if found is None:
        wanted = [(name, e) for name, e in baselines.items() if constraint.refers_to(name)]
        failures = "; ".join(f"{name}: {e.error.kind}: {e.error.message}" for name, e in wanted if e.error)
        why = f"it could not be scored ({failures})" if failures else "there is no such baseline in this search"
        raise InputError(f"constraint {constraint.label!r} is relative to {constraint.relative_to}, but {why}")
    return found
