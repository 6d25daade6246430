"""One batch's race: who is asked the next rung."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge.evaluation import Constraint, Evaluation
from evomerge.search.allocation import races
from evomerge.search.allocation.constraints import violations
from evomerge.search.allocation.races import IN, OPEN, OUT, Standing
from evomerge.search.allocation.scores import Scores
from evomerge.search.allocation.settings import AllocationSettings
from evomerge.search.allocation.window import Prefix

__all__ = ["UNRANKED", "Heat"]

Rows = NDArray[np.int_]
UNRANKED = 4  # where a searcher prefers none, one in so many candidates is taken to matter


class Heat:
    """The candidates of one batch while they are asked rung after rung.

    Failed candidates leave. Those that surely miss a constraint come after all others: they leave as soon as the others
    fill all places, and race against nobody before.

    Args:
        settings: Which race.
        scores: Parts of objectives.
        constraints: What must hold.
        baselines: Name to evaluation of those that could be scored.
        places: How many stay; None where none is preferred.
        rivals: Row of the one candidate that each is compared with, -1 for none; None where all compete.
    """

    def __init__(
        self,
        settings: AllocationSettings,
        scores: Scores,
        constraints: Sequence[Constraint],
        baselines: Mapping[str, Evaluation],
        places: int | None,
        rivals: Rows | None,
    ) -> None:
        self._race = races.load(settings.race)
        self._options = self._race.complete(settings.race_options)
        self._scores = scores
        self._constraints = tuple(constraints)
        self._baselines = baselines
        self._places = places
        self._rivals = rivals

    def going_on(
        self,
        rows: Rows,
        evaluations: Sequence[Evaluation],
        prefix: Prefix,
        looks: int,
        random: np.random.Generator,
    ) -> Rows:
        """The candidates that are asked the next rung.

        Args:
            rows: Those that were asked this one, ascending.
            evaluations: Their evaluations.
            prefix: The items they have answered.
            looks: How many decisions there are in a batch.
            random: The generator of this decision.
        """
        if self._race.decide is None:
            return rows
        scored = np.array([evaluation.error is None for evaluation in evaluations], dtype=bool)
        alive = [evaluation for evaluation in evaluations if evaluation.error is None]
        if not alive:
            return rows[:0]
        missed = violations(self._constraints, self._scores, self._baselines, alive, prefix)
        feasible = np.zeros(len(rows), dtype=bool)
        feasible[scored] = (missed <= 0.0).all(axis=1)
        fates = np.where(scored, OPEN, OUT)
        good = np.flatnonzero(feasible)
        rivals = self._rivals_among(rows, good) if self._rivals is not None else None
        if rivals is not None:  # who has no rival among them has nothing at stake
            good, rivals = _with_rivals(good, rivals)
        left = max(1, math.ceil(len(rows) / UNRANKED)) if self._places is None else self._places
        if len(good) > 1:
            parts = self._scores.minimised([evaluations[row] for row in good.tolist()], prefix)
            standing = Standing(parts, min(left, len(good)), rivals, looks)
            fates[good] = self._race.decide(standing, self._options, random)
        if self._rivals is None:
            fates[scored & ~feasible] = OUT if len(good) >= left else OPEN
            if self._places is not None:
                self._places = max(self._places - int((fates == IN).sum()), 0)
        return rows[fates == OPEN]

    def _rivals_among(self, rows: Rows, good: Rows) -> Rows:
        """For each of some candidates the place of its rival among them, -1 for none."""
        assert self._rivals is not None
        place = {int(rows[row]): number for number, row in enumerate(good)}
        found = [place.get(int(self._rivals[rows[row]]), -1) for row in good]
        return np.array([-1 if other == own else other for own, other in enumerate(found)], dtype=int)


def _with_rivals(good: Rows, rivals: Rows) -> tuple[Rows, Rows]:
    kept = np.flatnonzero((rivals >= 0) | np.isin(np.arange(len(good)), rivals))
    place = {int(old): new for new, old in enumerate(kept)}
    return good[kept], np.array([place.get(int(rivals[row]), -1) for row in kept], dtype=int)
