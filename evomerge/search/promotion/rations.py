"""Selection items in rungs: more for the candidates that are hard to tell from the best.

All candidates are asked the first items. Then a budget of further ones is shared out in a few rungs, each time anew, by
optimal computing budget allocation (:mod:`evomerge.analysis.allocation.ocba`): who is surely worse is asked no more,
who may be the best is asked most. Candidates get prefixes of one random order, so all share what the one with the
fewest was asked. Their scores are estimates that allow for how difficult the items of each are, and the choice is made
by posterior means, so that luck with few answers is not taken for merit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis.allocation.ocba import additions, shares
from evomerge.evaluation import Evaluation
from evomerge.recipe import Recipe
from evomerge.search.allocation import AllocationSettings, Prefix
from evomerge.search.allocation.allocator import Allocator, random_of
from evomerge.search.allocation.book import AnswerBook
from evomerge.search.allocation.scores import Scores, columns_of
from evomerge.search.allocation.window import Choice, Window
from evomerge.search.batch import Batch
from evomerge.search.batch_evaluator import BatchEvaluator
from evomerge.search.plan import SearchPlan
from evomerge.store import RunStore

__all__ = ["Rations"]

FIRST = 0.4  # of the budget is spent on all alike
RUNGS = 3  # in which the rest is shared out
ESTIMATOR = "control_variate"  # by how difficult items are for those who answered all, as the baselines
SPLIT = "selection"


class Rations:
    """Asks candidates selection items as they need them.

    Args:
        plan: The search.
        store: The run's store.
        evaluator: Scores batches.
        number: The batch number of what is asked.
        baselines: Evaluations of the baselines on all selection items; those that could be scored.

    Attributes:
        estimates: Digest to metric key to the estimate that a candidate is compared by, and its standard error.
    """

    def __init__(
        self,
        plan: SearchPlan,
        store: RunStore,
        evaluator: BatchEvaluator,
        number: int,
        baselines: Sequence[Evaluation],
    ) -> None:
        self.estimates: dict[str, dict[str, tuple[float, float]]] = {}
        self._plan, self._store, self._evaluator, self._number = plan, store, evaluator, number
        allocator = Allocator(AllocationSettings(), plan.items[SPLIT], plan.clusters)
        choices = {task: self._order(task, len(ids), allocator.codes.get(task)) for task, ids in allocator.pool.items()}
        always = {task: ids for task, ids in plan.items[SPLIT].items() if task not in allocator.pool}
        self._window = Window(allocator.pool, choices, always)
        self._units = sum(choice.size for choice in choices.values())
        keys = [key for objective in plan.objectives for _, key in objective.terms]
        keys += [constraint.metric for constraint in plan.constraints]
        self._book = AnswerBook(allocator.pool, columns_of(keys, allocator.pool), plan.genome.n_var, allocator.codes)
        for evaluation in baselines:
            self._take(evaluation)
            self._book.weigh(evaluation.digest, self._window.prefix(1.0))
        settings = AllocationSettings(estimator=ESTIMATOR)
        self._scores = Scores(plan.objectives, plan.constraints, self._book, baselines, settings)

    def _order(self, task: str, count: int, codes: NDArray[np.intp] | None) -> Choice:
        """The order in which items, or whole clusters, are asked."""
        size = count if codes is None else int(codes.max()) + 1
        order = random_of(self._plan.allocation.seed, SPLIT, task).permutation(size)
        choice = Choice(order, np.ones(size))
        return choice if codes is None else choice.opened(codes)

    def _take(self, evaluation: Evaluation) -> None:
        self._book.enter(evaluation.digest, 0, None)
        self._book.add(evaluation, self._store.responses(evaluation), self._store.items(evaluation))

    def __call__(self, recipes: Sequence[Recipe]) -> tuple[list[Evaluation], list[Evaluation]]:
        """Asks candidates.

        Args:
            recipes: The candidates, each once.

        Returns:
            The last evaluation of each; and those of the scored ones with the metrics that they are compared by.
        """
        if not recipes:
            return [], []
        places, n = self._places(recipes), len(recipes)
        budget = round(self._plan.promotion.share * self._units * n)
        counts = np.full(n, min(max(round(FIRST * budget / n), 1), self._units))
        found = self._ask(recipes, places, counts, 1)  # rung 0 is that of all items
        scored = np.array([row for row, evaluation in sorted(found.items()) if evaluation.error is None], dtype=int)
        for rung in range(RUNGS):
            left = (budget - int(counts.sum())) // (RUNGS - rung)
            more = np.zeros(n, dtype=int)
            if len(scored) > 1 and left > 0:
                more[scored] = self._more([found[row] for row in scored.tolist()], counts[scored], left)
            counts = counts + more
            found |= self._ask(recipes, places, np.where(more > 0, counts, 0), rung + 2)
            scored = np.array([row for row in scored.tolist() if found[row].error is None], dtype=int)
        compared = self._compared([found[row] for row in scored.tolist()])
        return [found[row] for row in range(n)], compared

    def _places(self, recipes: Sequence[Recipe]) -> list[int]:
        """The place of each candidate in the batch, the same in all its rungs: that of its records, else a free one."""
        kept = {e.digest: e.index for e in self._store.evaluations(SPLIT) if e.batch == self._number}
        taken = set(kept.values())
        # Baselines and the reference come first, as they do where everyone is asked everything.
        index = len(self._plan.baselines) + len(self._plan.scaled)
        for recipe in recipes:
            if recipe.digest not in kept:
                while index in taken:
                    index += 1
                kept[recipe.digest] = index
                taken.add(index)
        return [kept[recipe.digest] for recipe in recipes]

    def _ask(
        self, recipes: Sequence[Recipe], places: Sequence[int], counts: NDArray[np.int_], rung: int
    ) -> dict[int, Evaluation]:
        """Asks candidates the first items of the order.

        Args:
            recipes: All candidates.
            places: Their places.
            counts: How many each is asked by now; 0 for who is not asked in this rung.
            rung: The rung's number.

        Returns:
            Row to evaluation of those that were asked.
        """
        found, prefixes = dict[int, Evaluation](), dict[str, Prefix]()
        for count in np.unique(counts[counts > 0]).tolist():
            rows, prefix = np.flatnonzero(counts == count).tolist(), self._window.prefix(count / self._units)
            prefixes |= dict.fromkeys([recipes[row].digest for row in rows], prefix)
            batch = Batch(
                [recipes[row] for row in rows],
                SPLIT,
                self._number,
                prefix.items,
                indices=[places[row] for row in rows],
                history=0,
                rung=rung,
                probabilities=prefix.probabilities,
            )
            found |= dict(zip(rows, self._evaluator.score(batch).evaluations, strict=True))
        for evaluation in found.values():
            if evaluation.error is None:
                self._take(evaluation)
                self._book.weigh(evaluation.digest, prefixes[evaluation.digest])
        return found

    def _more(self, found: Sequence[Evaluation], counts: NDArray[np.int_], budget: int) -> NDArray[np.int_]:
        """How many further items each of the scored candidates is asked."""
        pooled = self._scores.pooled(found)
        values = np.stack([own.value for own in pooled], axis=1)
        errors = np.stack([own.se for own in pooled], axis=1)
        open_share = 1.0 - counts / self._units
        part = open_share > 0.0
        deviations = np.ones_like(errors)
        deviations[part] = errors[part] * np.sqrt(counts[part] / open_share[part])[:, None]
        if part.any():  # who has answered everything has no error left to read it off
            deviations[~part] = deviations[part].mean(axis=0)
        return additions(shares(values, deviations), counts, budget, self._units)

    def _compared(self, found: Sequence[Evaluation]) -> list[Evaluation]:
        """Evaluations with metrics that can be compared, drawn towards their mean by their errors."""
        metrics = self._scores.overall(found) if found else {}
        self.estimates = {
            evaluation.digest: {key: (float(own.value[row]), float(own.se[row])) for key, own in metrics.items()}
            for row, evaluation in enumerate(found)
        }
        return [
            replace(evaluation, metrics={**evaluation.metrics, **{k: float(m.value[row]) for k, m in metrics.items()}})
            for row, evaluation in enumerate(found)
        ]
