"""Batches that are asked a part of the items: windows, rungs, and survivors who are asked and told again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import InputError
from evomerge.evaluation import Evaluation, ToldValues, keys_of
from evomerge.recipe import Recipe
from evomerge.search.allocation.allocator import Allocator, random_of
from evomerge.search.allocation.book import AnswerBook
from evomerge.search.allocation.entrants import Entrants
from evomerge.search.allocation.heat import Heat
from evomerge.search.allocation.scores import Scores, columns_of
from evomerge.search.allocation.told import told
from evomerge.search.allocation.window import Choice, Prefix, Window
from evomerge.search.batch import Batch, BatchResult
from evomerge.search.batch_evaluator import BatchEvaluator
from evomerge.search.criteria import Criteria
from evomerge.search.front import Front
from evomerge.search.plan import SearchPlan
from evomerge.search.play import Played, recipe_of
from evomerge.search.searchers import CellRecord, Observation, Proposal, Searcher, Selection
from evomerge.store import ESTIMATES, PROXIES, RunStore

__all__ = ["AllocatedPlay"]


class AllocatedPlay:
    """Batches that are asked the window of a policy, in the rungs of a race.

    Args:
        plan: The search.
        evaluator: Scores batches.
        criteria: From evaluations to values.
        baselines: Name to evaluation on all items: policies learn from them, and relative constraints are measured from
            their answers to the same items as a candidate's.
    """

    def __init__(
        self,
        plan: SearchPlan,
        evaluator: BatchEvaluator,
        criteria: Criteria,
        baselines: Mapping[str, Evaluation],
    ) -> None:
        self.front = Front(criteria)
        self._plan = plan
        self._evaluator = evaluator
        self._criteria = criteria
        self._cells = CellRecord.of(criteria.grid, len(criteria.objectives))
        self._baselines = {name: e for name, e in baselines.items() if e.error is None}
        self._allocator = Allocator(plan.allocation, plan.items["search"], plan.clusters)
        keys = keys_of(plan.objectives, plan.measures)
        keys += [constraint.metric for constraint in plan.constraints]
        pool = self._allocator.pool
        proxy = plan.allocation.proxy
        smooth = [(task, proxy) for task in pool] if proxy is not None else []
        columns = dict.fromkeys([*columns_of(keys, pool), *smooth])
        self._book = AnswerBook(pool, tuple(columns), plan.genome.n_var, self._allocator.codes)
        self._known: dict[str, Recipe] = {}  # of the proposals that the searcher keeps
        self._candidates: dict[str, Evaluation] = {}  # the last evaluation of each, by digest
        self._last: list[str] = []  # digests of the last batch
        self._spent = 0
        self._unsearched = {evaluation.digest for evaluation in baselines.values()}
        self._enter_baselines(baselines.values())
        scored = self._baselines.values()
        self._scores = Scores(plan.objectives, plan.constraints, self._book, scored, plan.allocation, plan.measures)

    def _enter_baselines(self, evaluations: Iterable[Evaluation]) -> None:
        whole = Window(self._allocator.pool, {t: _all(ids) for t, ids in self._allocator.pool.items()}, {}).rungs(1)[0]
        for evaluation in {e.digest: e for e in evaluations}.values():
            self._book.enter(evaluation.digest, 0, None)
            self._take(evaluation)
            if evaluation.error is None:
                self._book.weigh(evaluation.digest, whole)

    def _take(self, evaluation: Evaluation) -> None:
        store = self._evaluator.asks.store
        self._book.add(evaluation, store.responses(evaluation), store.items(evaluation))

    def enter(self, plan: SearchPlan) -> None:
        """Takes the space of a further round, of which nobody asked so far has a genome; see `Play.enter`."""
        self._plan = plan
        self._book.turn_to(plan.genome.n_var)

    def estimates(self) -> dict[str, dict[str, tuple[float, float]]]:
        """Digest to metric key to the estimate that a candidate is compared by, and its standard error.

        From all that it has answered, drawn towards those of its batch.
        """
        scored = [evaluation for evaluation in self._candidates.values() if evaluation.error is None]
        found = self._scores.overall(scored) if scored else {}
        return {
            evaluation.digest: {key: (float(own.value[row]), float(own.se[row])) for key, own in found.items()}
            for row, evaluation in enumerate(scored)
        }

    def keep(self, store: RunStore) -> None:
        """Estimates, and what became of a proxy; see `Play.keep`."""
        # Where a session ends between two rungs, answers are there that have no weight yet, and so no estimates.
        finite = {
            digest: {key: pair for key, pair in own.items() if np.isfinite(pair).all()}
            for digest, own in self.estimates().items()
        }
        store.write_json(ESTIMATES, {digest: own for digest, own in finite.items() if own})
        if self._plan.allocation.proxy is not None:
            store.write_json(PROXIES, {key: use.to_json() for key, use in self._scores.proxies.items()})

    def allowance(self, budget: int, candidates: int) -> int | None:
        """Items are counted one by one, so this says only whether any are left; see `Play.allowance`."""
        return 0 if self._spent >= budget else None

    def play(self, number: int, proposals: Sequence[Proposal], searcher: Searcher, limit: int | None) -> Played:
        """Scores a batch; see `Play.play`."""
        if not proposals:
            self._evaluator.score(Batch([], "search", number, self._plan.items["search"]))
            return Played((), True, False, False)
        selection = _selection(searcher)
        entrants = self._entrants(proposals, selection)
        current = [self._known[id].digest for id in selection.kept] or self._last
        history = self._book.history(number, [digest for digest in current if digest in self._book])
        window = self._allocator.window(history)
        self._scores.measure_ceilings()
        heat = self._heat(entrants, proposals, selection)
        played = self._rungs(number, entrants, window, heat, limit)
        for row, evaluation in entrants.found.items():
            if evaluation.error is None:
                self._book.weigh(evaluation.digest, entrants.answered[row])
        if not played.complete:
            return played
        self._book.close(window)
        self._last = [entrants.recipes[entrants.row[proposal.id]].digest for proposal in proposals]
        self._known |= {proposal.id: entrants.recipes[entrants.row[proposal.id]] for proposal in proposals}
        self._known = {id: recipe for id, recipe in self._known.items() if id in entrants.row}
        return self._told(played, entrants, proposals, selection)

    def _entrants(self, proposals: Sequence[Proposal], selection: Selection) -> Entrants:
        entrants = Entrants()
        for place, proposal in enumerate(proposals):
            entrants.add(proposal.id, place, recipe_of(self._plan, proposal), proposal)
        for place, id in enumerate(selection.kept, len(proposals)):
            entrants.add(id, place, self._known[id])
        return entrants

    def _heat(self, entrants: Entrants, proposals: Sequence[Proposal], selection: Selection) -> Heat:
        rivals = None
        if selection.paired:
            rivals = np.full(len(entrants.recipes), -1)
            for proposal, kept in zip(proposals, selection.kept, strict=False):
                trial, target = entrants.row[proposal.id], entrants.row[kept]
                rivals[trial], rivals[target] = target, trial
        plan = self._plan
        return Heat(plan.allocation, self._scores, plan.constraints, self._baselines, selection.places, rivals)

    def _rungs(self, number: int, entrants: Entrants, window: Window, heat: Heat, limit: int | None) -> Played:
        """Asks rung after rung, whoever is still in the race."""
        settings = self._plan.allocation
        prefixes = window.rungs(settings.rungs if settings.race != "none" else 1)
        rows = np.arange(len(entrants.recipes))
        new: list[Evaluation] = []
        fresh = False
        for rung, prefix in enumerate(prefixes):
            asked, short = self._affordable(entrants, rows, prefix, limit if rung == 0 else None)
            result = self._ask(number, entrants, asked, prefix, rung)
            fresh = fresh or result.fresh
            new += self._registered(number, entrants, asked, result, prefix)
            if short is not None or not result.complete:
                return Played(tuple(new), False, fresh, result.expired, short=short)
            entrants.rungs.append((rows, prefix))
            if rung + 1 < len(prefixes):
                random = random_of(settings.seed, "race", number, rung)
                found = [entrants.found[row] for row in rows.tolist()]
                rows = heat.going_on(rows, found, prefix, len(prefixes) - 1, random)
            if not len(rows):
                break
        return Played(tuple(new), True, fresh, False)

    def _affordable(
        self, entrants: Entrants, rows: NDArray[np.int_], prefix: Prefix, limit: int | None
    ) -> tuple[list[int], str | None]:
        """The rows that the budgets still allow, and the budget that cuts the others off."""
        budget, asked = self._plan.budgets.items, list[int]()
        for row in rows.tolist():
            digest = entrants.recipes[row].digest
            if limit is not None and digest not in self._book and limit <= 0:
                return asked, "evaluations"
            known = self._candidates.get(digest)
            failed = known is not None and known.error is not None  # what has failed is not asked again
            cost = 0 if failed else self._book.missing(digest, prefix.choices)
            if budget is not None and cost and self._spent + cost > budget:
                return asked, "items"
            limit = limit - (digest not in self._book) if limit is not None else None
            self._spent += cost
            asked.append(row)
        return asked, None

    def _ask(self, number: int, entrants: Entrants, rows: Sequence[int], prefix: Prefix, rung: int) -> BatchResult:
        return self._evaluator.score(
            Batch(
                [entrants.recipes[row] for row in rows],
                "search",
                number,
                prefix.items,
                parents=[entrants.parents[row] for row in rows],
                indices=[entrants.places[row] for row in rows],
                history=number - 1,
                rung=rung,
                probabilities=prefix.probabilities,
            )
        )

    def _registered(
        self, number: int, entrants: Entrants, rows: Sequence[int], result: BatchResult, prefix: Prefix
    ) -> list[Evaluation]:
        """Takes in what was answered; the evaluations of candidates that the run had not seen."""
        made = {evaluation.digest for evaluation in result.new}
        first: list[Evaluation] = []
        for row, evaluation in zip(rows, result.found, strict=True):
            if evaluation is None:
                continue
            entrants.found[row], entrants.answered[row] = evaluation, prefix
            if evaluation.digest not in self._unsearched:
                if evaluation.digest not in self._candidates:
                    first.append(evaluation)
                    self._book.enter(evaluation.digest, number, entrants.genomes[row])
                self._candidates[evaluation.digest] = evaluation
            if evaluation.digest in made:
                entrants.asks[row] = evaluation.ask
                self._take(evaluation)
            else:
                entrants.asks.pop(row, None)
        return first

    def _told(self, played: Played, entrants: Entrants, proposals: Sequence[Proposal], selection: Selection) -> Played:
        """The values that the searcher is told: comparable within the batch, whatever each was asked."""
        failed = entrants.failed()
        F, se, missed, natural = told(entrants, self._scores, self._plan.constraints, self._baselines)
        measured = self._criteria.placed([None if bad else row for bad, row in zip(failed, natural, strict=True)])
        F, G = self._criteria.completed(F, np.pad(missed, ((0, 0), (0, 1))), failed)
        errors = [None if failed[row] else se[row] for row in range(len(failed))]
        observations = [
            Observation(id, F[row], G[row], errors[row], measured[row], entrants.found[row].items)
            for id in [*(proposal.id for proposal in proposals), *selection.kept]
            for row in [entrants.row[id]]
        ]
        kept = tuple(
            (ask, ToldValues(tuple(F[row].tolist()), tuple(G[row].tolist()), _tuple(errors[row])))
            for row, ask in entrants.asks.items()
        )
        return replace(played, observations=observations, told=kept)

    def improved(self, played: Played) -> bool:
        """Makes the front anew, as all values move; whether a new candidate is on it, or improves the archive."""
        self.front = Front(self._criteria)
        self.front.extend(self.current(list(self._candidates.values())))
        if self._cells is not None:
            return self._cells.add(played.observations)
        members = {member.digest for member in self.front.members()}
        return any(evaluation.digest in members for evaluation in played.new)

    def current(self, candidates: Sequence[Evaluation]) -> list[Evaluation]:
        """Evaluations with estimates from all that each candidate has answered, drawn towards those of its batch."""
        latest = [self._candidates.get(evaluation.digest, evaluation) for evaluation in candidates]
        scored = [evaluation for evaluation in latest if evaluation.error is None]
        if not scored:
            return latest
        own = self.estimates()
        metrics = [{key: value for key, (value, _) in own[e.digest].items()} for e in scored]
        found = iter(replace(e, metrics={**e.metrics, **own}) for e, own in zip(scored, metrics, strict=True))
        return [evaluation if evaluation.error is not None else next(found) for evaluation in latest]


def _all(ids: Sequence[str]) -> Choice:
    return Choice(np.arange(len(ids)), np.ones(len(ids)))


def _tuple(values: NDArray[np.float64] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(values.tolist())


def _selection(searcher: Searcher) -> Selection:
    """Whom the searcher keeps.

    Raises:
        InputError: If it does not say.
    """
    if not hasattr(searcher, "selection"):
        raise InputError(
            f"searcher {getattr(searcher, 'name', '')} does not say whom it keeps (Searcher.selection), so candidates "
            "cannot be asked other items in every batch; write fitness=all, and leave out the settings of allocation"
        )
    return searcher.selection()
