"""One batch of a search, from its proposals to what the searcher is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evomerge.evaluation import Evaluation, ToldValues, count_items
from evomerge.evaluation.ask import Ask
from evomerge.recipe import Recipe
from evomerge.search.batch import Batch
from evomerge.search.batch_evaluator import BatchEvaluator
from evomerge.search.criteria import Criteria
from evomerge.search.front import Front
from evomerge.search.plan import SearchPlan
from evomerge.search.searchers import CellRecord, Observation, Proposal, Searcher
from evomerge.store import RunStore

__all__ = ["PlainPlay", "Play", "Played", "recipe_of"]


@dataclass(frozen=True)
class Played:
    """The result of a batch.

    Attributes:
        new: Evaluations of the candidates that the run had not seen before, one of each, in the order of the ask.
        complete: Whether all that the batch asks was answered; else nothing is told.
        fresh: Whether any of it was answered now.
        expired: Whether the wall time ended it.
        observations: What the searcher is told.
        told: The same for the records.
        short: The budget that cut it, where that is not the number of new candidates.
    """

    new: tuple[Evaluation, ...]
    complete: bool
    fresh: bool
    expired: bool
    observations: Sequence[Observation] = ()
    told: tuple[tuple[Ask, ToldValues], ...] = ()
    short: str | None = None


class Play(Protocol):
    """How the candidates of a batch are asked, and what the searcher is told of them.

    Attributes:
        front: The feasible non-dominated candidates so far.
    """

    front: Front

    def enter(self, plan: SearchPlan) -> None:
        """Goes over to the space of a further round; all that has been found so far stays."""
        ...

    def play(self, number: int, proposals: Sequence[Proposal], searcher: Searcher, limit: int | None) -> Played:
        """Scores a batch.

        Args:
            number: Its number.
            proposals: What the searcher proposes.
            searcher: Asked whom it keeps.
            limit: At most so many new candidates are scored; None for all.
        """
        ...

    def improved(self, played: Played) -> bool:
        """Brings the front up to date with a batch; whether new candidates improved it, or the archive of elites."""
        ...

    def current(self, candidates: Sequence[Evaluation]) -> list[Evaluation]:
        """Evaluations of candidates with the metrics that they are compared by."""
        ...

    def keep(self, store: RunStore) -> None:
        """Writes what candidates are compared by, where that is not their metrics as recorded."""
        ...

    def allowance(self, budget: int, candidates: int) -> int | None:
        """How many new candidates a budget of items allows; None where a batch is cut item by item."""
        ...


def recipe_of(plan: SearchPlan, proposal: Proposal) -> Recipe:
    """The recipe of a proposal."""
    if proposal.recipe is not None:
        return proposal.recipe
    assert proposal.x is not None
    return plan.genome.decode(proposal.x)


class PlainPlay:
    """Every candidate is asked all items, once: values of all batches are comparable as they are.

    Args:
        plan: The search.
        evaluator: Scores batches.
        criteria: From evaluations to values.
        baselines: Name to evaluation.

    Raises:
        InputError: If the searcher needs scores of single items, and the baselines have none.
    """

    def __init__(
        self, plan: SearchPlan, evaluator: BatchEvaluator, criteria: Criteria, baselines: Mapping[str, Evaluation]
    ) -> None:
        self.front = Front(criteria)
        self._cells = CellRecord.of(criteria.grid, len(criteria.objectives))
        self._plan = plan
        self._evaluator = evaluator
        self._criteria = criteria
        for evaluation in baselines.values():  # before a candidate is scored for nothing
            self._item_scores(evaluation)

    def enter(self, plan: SearchPlan) -> None:
        """Takes the space of a further round; see `Play.enter`."""
        self._plan = plan

    def play(self, number: int, proposals: Sequence[Proposal], searcher: Searcher, limit: int | None) -> Played:
        """Scores a batch; see `Play.play`."""
        scored = self._evaluator.score(
            Batch(
                [recipe_of(self._plan, proposal) for proposal in proposals],
                "search",
                number,
                self._plan.items["search"],
                parents=[proposal.parents for proposal in proposals],
                limit=limit,
                history=number - 1,
            )
        )
        if not scored.complete or not scored.found:
            return Played(scored.new, scored.complete, scored.fresh, scored.expired)
        F, G = self._criteria.columns(scored.evaluations)
        measured = self._criteria.measured(scored.evaluations)
        rows = list(zip(proposals, F, G, scored.evaluations, strict=True))
        new = {evaluation.digest for evaluation in scored.new}
        # A recipe proposed again has a record of what was told first.
        told = [(e.ask, ToldValues(tuple(f.tolist()), tuple(g.tolist()))) for _, f, g, e in rows if e.digest in new]
        observations = [
            Observation(p.id, f, g, None, own, evaluation.items, self._item_scores(evaluation))
            for (p, f, g, evaluation), own in zip(rows, measured, strict=True)
        ]
        return Played(scored.new, True, scored.fresh, scored.expired, observations, tuple(told))

    def _item_scores(self, evaluation: Evaluation) -> NDArray[np.float64] | None:
        if not self._plan.scored_items:
            return None
        responses = self._evaluator.asks.store.responses(evaluation)
        return self._criteria.item_scores(evaluation, responses, self._plan.items["search"])

    def improved(self, played: Played) -> bool:
        """Adds the new candidates to the front; see `Play.improved`."""
        improved = self.front.extend(played.new)
        return improved if self._cells is None else self._cells.add(played.observations)

    def current(self, candidates: Sequence[Evaluation]) -> list[Evaluation]:
        """The evaluations as they are."""
        return list(candidates)

    def keep(self, store: RunStore) -> None:
        """Nothing; see `Play.keep`."""

    def allowance(self, budget: int, candidates: int) -> int | None:
        """All candidates cost the same; see `Play.allowance`."""
        each = count_items(self._plan.items["search"])
        return max(budget // max(each, 1) - candidates, 0)
