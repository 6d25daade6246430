"""Promotion: from the search split over the selection split to the test split.

Search scores are optimistic, as candidates were chosen by them. So the best candidates by search scores, the shortlist,
are asked the selection items, finalists are chosen by these fresh scores, and the test split is asked once: the
baselines, the finalists and the tuned reference. What the searcher recommends is on the shortlist, whatever its search
score. On every split the baselines are asked too, so that relative constraints are measured on the same items. A run
that is extended promotes again; who has been asked a split before is not asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evomerge.errors import InputError
from evomerge.evaluation import PYTHON, Evaluation
from evomerge.recipe import Recipe
from evomerge.search.batch import Batch
from evomerge.search.batch_evaluator import BatchEvaluator
from evomerge.search.criteria import Criteria
from evomerge.search.events import Listener, Phase, Promoted
from evomerge.search.plan import SearchPlan
from evomerge.search.promotion.last_asks import LastAsks, recommendations, tuned
from evomerge.search.promotion.places import places
from evomerge.search.promotion.rations import Rations
from evomerge.search.promotion.shortlist import finalists, of_archives, shortlist
from evomerge.search.searchers import Searcher
from evomerge.store import SELECTION_ESTIMATES, RunStore, estimates

__all__ = ["Promotion"]

_PHASES = {"selection": "selection", "test": "confirmation"}


class Promotion:
    """The stages that follow a search.

    Args:
        plan: The search.
        store: The run's store.
        evaluator: Scores batches.
        emit: Told of every event.
        number: The batch number of what is asked: how many batches the searcher was told.

    Attributes:
        recommended: Evaluations of what the searcher recommends on the search split.
        selected: Evaluations of baselines and shortlisted candidates on the selection split.
        confirmed: Evaluations of baselines and finalists on the test split.
    """

    def __init__(
        self, plan: SearchPlan, store: RunStore, evaluator: BatchEvaluator, emit: Listener, number: int
    ) -> None:
        self.recommended: list[Evaluation] = []
        self.selected: list[Evaluation] = []
        self.confirmed: list[Evaluation] = []
        self._plan = plan
        self._store = store
        self._evaluator = evaluator
        self._emit = emit
        self._number = number
        self._reference: dict[str, Recipe] = {}

    def run(
        self,
        criteria: Criteria,
        candidates: Sequence[Evaluation],
        searcher: Searcher | None,
        stop: Callable[[], str],
    ) -> bool:
        """Promotes candidates and confirms finalists.

        Args:
            criteria: What is better and what is feasible on the search split.
            candidates: All candidates of the search.
            searcher: Who proposed them; None where nothing was searched.
            stop: Asked before each stage; anything but ``none`` ends here.

        Returns:
            Whether it was completed.
        """
        confirms = bool(self._plan.finalists) and self._plan.asks("test")
        if not (self._plan.shortlisted or confirms):
            return True
        if stop() != "none":
            return False
        last = LastAsks(self._plan, self._store, self._evaluator, self._emit, self._number)
        asked, scaled = last(recommendations(self._plan, searcher))
        known = {evaluation.digest: evaluation for evaluation in candidates}
        self.recommended = [known.get(evaluation.digest, evaluation) for evaluation in asked]
        reference = tuned(criteria, scaled)
        self._reference = {reference: self._plan.scaled[reference]} if reference is not None else {}
        if stop() != "none":
            return False
        chosen = self._select(criteria, candidates)
        if not confirms:
            return True
        if stop() != "none":
            return False
        self.confirmed = self._ask("test", chosen)
        return True

    def _select(self, criteria: Criteria, candidates: Sequence[Evaluation]) -> list[Evaluation]:
        """Chooses finalists, on the selection split if there is one."""
        limit = self._plan.finalists
        listed = self._shortlist(criteria, candidates)
        if not listed:
            # What is recommended may have been proposed too.
            known = {e.digest: e for e in (*candidates, *self.recommended)}
            everyone = [e for e in known.values() if criteria.feasible(e)]
            if criteria.grid is None:
                return finalists(criteria, everyone, limit)
            return self._of_cells(criteria, criteria, everyone, everyone)
        compared = self._compare(listed)
        found = {e.digest: e for e in self.selected}
        # By digest, as baselines that are equal share one evaluation.
        baselines = {name: found[recipe.digest] for name, recipe in self._plan.baselines.items()}
        try:
            here = Criteria(self._plan.objectives, self._plan.constraints, baselines)
        except InputError:  # a baseline that was scored on the search split has failed on this one
            return finalists(criteria, [e for e in listed if found[e.digest].error is None], limit)
        if criteria.grid is None:
            return finalists(here, compared, limit)
        return self._of_cells(criteria, here, listed, compared)

    def _of_cells(
        self, criteria: Criteria, here: Criteria, listed: Sequence[Evaluation], compared: Sequence[Evaluation]
    ) -> list[Evaluation]:
        """Finalists of archives: the best by selection scores, spread over the cells that search scores put them into.

        What the searcher recommends is among them, as it has no cell that it was found in.

        Args:
            criteria: Of the search items, with the cells.
            here: Of the selection items.
            listed: Evaluations on the search items.
            compared: Of the same candidates, on the selection items.
        """
        known, limit = {e.digest: e for e in listed}, self._plan.finalists
        scored = [e for e in compared if e.error is None and here.feasible(e)]
        recommended = {e.digest for e in self.recommended}
        first = [e for e in scored if e.digest in recommended][:limit]
        others = [e for e in scored if e.digest not in recommended]
        chosen = of_archives(criteria, [known[e.digest] for e in others], limit - len(first), others)
        return [*first, *chosen] if scored else finalists(here, compared, limit)

    def _compare(self, listed: Sequence[Evaluation]) -> list[Evaluation]:
        """Asks the shortlist selection items; evaluations of it with the metrics that it is compared by."""
        items = self._plan.items["selection"]
        if self._plan.promotion.allocation == "equal" or not any(ids for task, ids in items.items() if task != PYTHON):
            self.selected = self._ask("selection", listed)
            if estimates(self._store, "selection"):  # of an earlier session, which shared items out
                self._store.write_json(SELECTION_ESTIMATES, {})
            return [e for e in self.selected if e.name is None]
        baselines = self._ask("selection", listed, everything=False)
        scored = [e for e in baselines if e.error is None]
        ask = Rations(self._plan, self._store, self._evaluator, self._number, scored)
        found, compared = ask([Recipe.from_json(candidate.recipe) for candidate in listed])
        self._store.write_json(SELECTION_ESTIMATES, ask.estimates)
        self.selected = [*baselines, *found]
        return compared

    def _shortlist(self, criteria: Criteria, candidates: Sequence[Evaluation]) -> list[Evaluation]:
        """The best candidates by search scores, and what is recommended; empty where nothing is compared."""
        limit = self._plan.shortlisted
        listed = (shortlist if criteria.grid is None else of_archives)(criteria, candidates, limit)
        if not limit:
            return []
        # A recommendation that missed a constraint by the luck of the search items is asked all the same.
        known = {evaluation.digest for evaluation in listed}
        return listed + [e for e in self.recommended if e.error is None and e.digest not in known]

    def _ask(self, split: str, candidates: Sequence[Evaluation], *, everything: bool = True) -> list[Evaluation]:
        """Scores baselines, candidates and the tuned reference on a split.

        Args:
            split: The split.
            candidates: Who is promoted to it.
            everything: Whether candidates are asked all its items here; else they are asked elsewhere.
        """
        plan = self._plan
        recipes = [*plan.baselines.values(), *(Recipe.from_json(candidate.recipe) for candidate in candidates)]
        names = [*plan.baselines, *([None] * len(candidates)), *self._reference]
        recipes += self._reference.values()
        self._emit(Phase(_PHASES[split], len({recipe.digest for recipe in recipes})))
        fresh = any(self._store.lookup(recipe.digest, split) is None for recipe in recipes)
        self._emit(Promoted(split, tuple(candidate.digest for candidate in candidates), fresh=fresh))
        if not everything:
            rows = [row for row, name in enumerate(names) if name is not None]
            recipes, names = [recipes[row] for row in rows], [names[row] for row in rows]
        indices = places(self._store, split, self._number, recipes)
        found: dict[str, Evaluation] = {}
        for rows, history in _parts(names, apart=plan.drafts):
            batch = Batch(
                [recipes[row] for row in rows],
                split,
                self._number,
                plan.items[split],
                [names[row] for row in rows],
                indices=[indices[row] for row in rows],
                history=history,
            )
            found |= {evaluation.digest: evaluation for evaluation in self._evaluator.score(batch).new}
        return [found[digest] for digest in dict.fromkeys(recipe.digest for recipe in recipes) if digest in found]


def _parts(names: Sequence[str | None], *, apart: bool) -> list[tuple[list[int], int | None]]:
    """Rows that are asked one part after the other, each with what `Batch.history` says of it.

    Args:
        names: One per recipe, None for candidates.
        apart: Whether candidates wait for what the others write; these are the same in every session of a run, so that
            what candidates verify is the same too.
    """
    named = [row for row, name in enumerate(names) if name is not None]
    others = [row for row, name in enumerate(names) if name is None]
    if not apart:
        return [(list(range(len(names))), None)]
    return [(named, None), (others, 0)] if others else [(named, None)]
