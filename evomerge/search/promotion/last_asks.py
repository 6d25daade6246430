"""Last asks on the search items, when proposing is over: the searcher's recommendations, and a tuned reference.

A searcher that samples around a mean recommends the mean, which was never drawn and so never chosen by a lucky score;
it joins the candidates that are promoted. The tuned reference is task arithmetic with one scale for all experts, the
best of a few scales on the search items: what a merge without a search can reach. Neither counts towards a budget, and
nothing of it is told to the searcher.

Both are asked all search items, as baselines are, also where candidates are asked windows of them. A candidate's
estimate is of its score on all of them, so that is what it can be compared with; the window of one batch would add the
error of that window, and no batch is told of these asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from evomerge.analysis.pareto import knee
from evomerge.evaluation import RECOMMENDED, Evaluation, item_set_digest
from evomerge.recipe import Recipe
from evomerge.search.batch import Batch
from evomerge.search.batch_evaluator import BatchEvaluator
from evomerge.search.criteria import Criteria
from evomerge.search.events import Listener, Phase
from evomerge.search.plan import SearchPlan
from evomerge.search.promotion.places import places
from evomerge.search.searchers import Recommends, Searcher
from evomerge.store import RunStore

__all__ = ["LastAsks", "recommendations", "tuned"]


class LastAsks:
    """Asks recipes the search items that the searcher did not propose.

    Args:
        plan: The search.
        store: The run's store.
        evaluator: Scores batches.
        emit: Told of every event.
        number: How many batches the searcher was told. What it recommends is asked in the last of them, after its own
            proposals, also those that a larger budget will add; scales are asked in batch 0, after the baselines.
    """

    def __init__(
        self, plan: SearchPlan, store: RunStore, evaluator: BatchEvaluator, emit: Listener, number: int
    ) -> None:
        self._plan = plan
        self._store = store
        self._evaluator = evaluator
        self._emit = emit
        self._number = number

    def __call__(self, recommended: Sequence[Recipe]) -> tuple[list[Evaluation], dict[str, Evaluation]]:
        """Scores what is recommended and the reference's scales, as far as they have no evaluation yet.

        Args:
            recommended: Recipes that the searcher recommends.

        Returns:
            The evaluations of those, and scale's name to evaluation.
        """
        scaled = self._plan.scaled
        asked = {recipe.digest: recipe for recipe in (*scaled.values(), *recommended)}
        if asked:
            self._emit(Phase("references", len(asked)))
        references = self._score(0, list(scaled.values()), list(scaled), ())
        # An earlier session may have ended where this one does, with the same recommendation.
        known = {recipe.digest: self._store.lookup(recipe.digest, "search") for recipe in recommended}
        missing = [recipe for recipe in recommended if known[recipe.digest] is None]
        parents = (f"{RECOMMENDED}:{self._number}",)
        found = {digest: evaluation for digest, evaluation in known.items() if evaluation is not None}
        found |= {e.digest: e for e in self._score(self._number, missing, [], parents)}
        return [found[recipe.digest] for recipe in recommended], dict(zip(scaled, references, strict=True))

    def _score(
        self, number: int, recipes: Sequence[Recipe], names: Sequence[str], parents: tuple[str, ...]
    ) -> Sequence[Evaluation]:
        """Scores recipes in a batch that has been asked, in the places that are free in it."""
        if not recipes:
            return ()
        items = self._plan.items["search"]
        # Baselines of equal weights share a record, and leave places between them that stay empty.
        first = self._plan.steady or 0 if number else len(self._plan.baselines)
        batch = Batch(
            recipes,
            "search",
            number,
            items,
            names=names,
            parents=[parents] * len(recipes) if parents else (),
            indices=places(self._store, "search", number, recipes, first, item_set_digest(items)),
            history=number or None,
        )
        return self._evaluator.score(batch).evaluations


def recommendations(plan: SearchPlan, searcher: Searcher | None) -> list[Recipe]:
    """Recipes that a searcher recommends; none where it makes no recommendations."""
    found: Iterable[Any] = searcher.recommend() if isinstance(searcher, Recommends) else ()
    return [one if isinstance(one, Recipe) else plan.genome.decode(one) for one in found]


def tuned(criteria: Criteria, scaled: Mapping[str, Evaluation]) -> str | None:
    """The best scale: of several objectives the knee, among scales that meet the constraints if there are any.

    Args:
        criteria: What is better and what is feasible.
        scaled: Scale's name to its evaluation on the search items.

    Returns:
        Its name; None where none could be scored.
    """
    scored = {name: evaluation for name, evaluation in scaled.items() if evaluation.error is None}
    feasible = {name: evaluation for name, evaluation in scored.items() if criteria.feasible(evaluation)}
    chosen = feasible or scored
    if not chosen:
        return None
    return list(chosen)[knee(np.array([criteria.minimised(evaluation) for evaluation in chosen.values()]))]
