"""The loop: baselines, then ask, score what is missing, tell; in the end the finalists on the test split.

Resuming has no code of its own. The loop starts from the beginning, finds in the store what was scored before, and so
arrives where it stopped, in the middle of a batch too, with a searcher that has been told exactly the same. A budget
cuts the last batch: what fits is scored and kept but the batch is not told, so a larger budget later completes and
tells it, as if it had been there from the start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from evomerge.evaluation import Evaluation
from evomerge.executors import Executor
from evomerge.recipe import Recipe
from evomerge.search.confirmation import choose
from evomerge.search.front import Front
from evomerge.search.ledger import Batch, Ledger, Scored
from evomerge.search.plan import RepeatedFailures, SearchPlan, SearchResult
from evomerge.search.progress import Progress, Watch
from evomerge.search.scoring import Scoring
from evomerge.search.searchers import Observation, Problem, Proposal, Searcher
from evomerge.store import RunStore

__all__ = ["EMPTY_BATCHES", "STATUS", "run"]

EMPTY_BATCHES = 20  # batches in a row without a new recipe after which a searcher is taken to be exhausted
STATUS = "status.json"
_OVER = ("evaluations", "items", "seconds", "patience", "exhausted")


def run(
    plan: SearchPlan,
    executor: Executor,
    store: RunStore,
    progress: Callable[[Progress], None] = lambda _: None,
    stop: Callable[[], str] = lambda: "none",
) -> SearchResult:
    """Runs a search, or goes on with one.

    Args:
        plan: What to do.
        executor: Where candidates are scored; it is not closed.
        store: The run's store, open for writing.
        progress: Told after every outcome.
        stop: Asked between outcomes and batches. ``finish`` ends after the batch at work, without a confirmation that
            has not begun; ``now`` ends at once by KeyboardInterrupt and loses what was being scored. Either can be gone
            on with.

    Returns:
        Why it ended and what it found.

    Raises:
        InputError: if objectives or constraints do not fit what the baselines recorded, or the searcher does not fit
            the plan.
        RepeatedFailures: after `SearchPlan.max_failures` failures in a row. Starting again tries one candidate more.
        ReplayError: if the records do not belong to this plan.
        KeyboardInterrupt: if told to stop now.
    """
    search = _Search(plan, executor, store, progress, stop)
    confirmed: list[Evaluation] = []
    try:
        search.baselines()
        reason = search.candidates()
        front = search.front()
        if reason != "stopped" and plan.finalists > 0 and any(plan.items.get("test", {}).values()):
            confirmed = search.confirmation(front)
        search.end(reason)
    except RepeatedFailures:
        search.end("failures")
        raise
    except KeyboardInterrupt:
        search.end("interrupted")
        raise
    finally:
        store.fold()
    return SearchResult(reason, search.told, len(search.found), tuple(front), tuple(confirmed), search.cut)


class _Search:
    """One session of a search; the arguments are those of `run`.

    Attributes:
        told: Batches told to the searcher.
        found: Candidates in the order of the asks.
        cut: Whether a budget cut the batch after those.
    """

    def __init__(
        self,
        plan: SearchPlan,
        executor: Executor,
        store: RunStore,
        progress: Callable[[Progress], None],
        stop: Callable[[], str],
    ) -> None:
        self.told = 0
        self.cut = False
        self._asks = 0
        self.found: list[Evaluation] = []
        self._plan = plan
        self._store = store
        self._stop = stop
        self._phase = ""
        self._scoring: Scoring | None = None
        self._front: Front | None = None
        self._watch = Watch(float((store.read_json(STATUS) or {}).get("seconds", 0.0)), progress)
        self._ledger = Ledger(store, executor, plan.max_failures, stop, self._expired, self._watch.scored)

    @property
    def scoring(self) -> Scoring:
        """What is better and what is feasible; there once the baselines are scored."""
        assert self._scoring is not None
        return self._scoring

    def baselines(self) -> None:
        """Scores the baselines as batch 0."""
        names, recipes = list(self._plan.baselines), list(self._plan.baselines.values())
        self._enter("baselines", len({recipe.digest for recipe in recipes}))
        scored = self._ledger.score(Batch(recipes, "search", 0, self._plan.items["search"], names))
        known = dict(zip(names, scored.evaluations, strict=True))
        self._scoring = Scoring(self._plan.objectives, self._plan.constraints, known)
        self._scoring.columns(scored.evaluations)
        self._front = Front(self._scoring)
        self._watch.follow(self._scoring)

    def candidates(self) -> str:
        """Asks, scores and tells until something ends it; returns what."""
        plan = self._plan
        starts = plan.starts if plan.starts is not None else np.zeros((0, plan.genome.n_var))
        searcher = plan.searcher(Problem(plan.genome.n_var, len(plan.objectives), self.scoring.n_con, starts))
        assert self._front is not None
        self._enter("search", self._allowance()[0])
        idle = stale = 0
        while True:
            limit, budget = self._allowance()
            if self._stop() != "none":
                return "stopped"
            if limit == 0:
                return budget
            if plan.budgets.patience is not None and stale >= plan.budgets.patience:
                return "patience"
            if idle >= EMPTY_BATCHES:
                return "exhausted"
            proposals = searcher.ask()
            scored = self._score(proposals, limit)
            self.found += scored.new
            improved = self._front.extend(scored.new)
            if not scored.complete:
                self.cut = bool(scored.new)
                return budget if len(scored.new) == limit else "seconds"
            self._tell(searcher, proposals, scored)
            idle = 0 if scored.new else idle + 1
            stale = 0 if improved else stale + 1

    def front(self) -> list[Evaluation]:
        """The feasible candidates that none dominates on the search split."""
        return self._front.members() if self._front is not None else []

    def confirmation(self, front: Sequence[Evaluation]) -> list[Evaluation]:
        """Scores baselines and finalists on the test split."""
        F = np.array([self.scoring.minimised(e) for e in front]).reshape(len(front), len(self._plan.objectives))
        finalists = [Recipe.from_json(front[row].recipe) for row in choose(F, self._plan.finalists)]
        names = [*self._plan.baselines, *([None] * len(finalists))]
        recipes = [*self._plan.baselines.values(), *finalists]
        self._enter("confirmation", len({recipe.digest for recipe in recipes}))
        scored = self._ledger.score(Batch(recipes, "test", self.told, self._plan.items["test"], names))
        return list(scored.new)

    def end(self, reason: str) -> None:
        """Says in the run's folder that it is over, or why it is not."""
        self._write_status(reason)

    def _score(self, proposals: Sequence[Proposal], limit: int | None) -> Scored:
        recipes = [self._recipe(proposal) for proposal in proposals]
        self._asks += 1
        return self._ledger.score(Batch(recipes, "search", self._asks, self._plan.items["search"], limit=limit))

    def _recipe(self, proposal: Proposal) -> Recipe:
        if proposal.recipe is not None:
            return proposal.recipe
        assert proposal.x is not None
        return self._plan.genome.decode(proposal.x)

    def _tell(self, searcher: Searcher, proposals: Sequence[Proposal], scored: Scored) -> None:
        if scored.found:
            F, G = self.scoring.columns(scored.evaluations)
            rows = zip(proposals, F, G, scored.evaluations, strict=True)
            searcher.tell([Observation(p.id, f, g, items=evaluation.items) for p, f, g, evaluation in rows])
        self.told = self._asks
        if any(evaluation.digest in self._ledger.fresh for evaluation in scored.new):
            self._write_status(None)

    def _allowance(self) -> tuple[int | None, str]:
        """How many new candidates the budgets still allow, and the name of the tightest budget."""
        budgets = self._plan.budgets
        left: list[tuple[int, str]] = []
        if budgets.evaluations is not None:
            left.append((max(budgets.evaluations - len(self.found), 0), "evaluations"))
        if budgets.items is not None:
            each = sum(len(ids) for ids in self._plan.items["search"].values())
            left.append((max(budgets.items // max(each, 1) - len(self.found), 0), "items"))
        return min(left) if left else (None, "seconds")

    def _expired(self) -> bool:
        seconds = self._plan.budgets.seconds
        return self._phase == "search" and seconds is not None and self._watch.elapsed() >= seconds

    def _enter(self, phase: str, total: int | None) -> None:
        self._phase = phase
        self._watch.enter(phase, total)
        self._write_status(None)

    def _write_status(self, reason: str | None) -> None:
        self._store.write_json(
            STATUS,
            {
                "phase": "done" if reason in _OVER else self._phase,
                "batches": self.told,
                "evaluations": len(self.found),
                "finished": reason in _OVER,
                "reason": reason,
                "seconds": round(self._watch.elapsed(), 3),
            },
        )
