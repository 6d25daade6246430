"""The loop: baselines, then ask, score what is missing, tell; in the end the promotion of the best candidates.

Resuming has no code of its own. The loop starts from the beginning, finds in the store what was scored before, and so
arrives where it stopped, in the middle of a batch too, with a searcher that has been told exactly the same. A budget
cuts the last batch: what fits is scored and kept but the batch is not told, so a larger budget later completes and
tells it, as if it had been there from the start. A search without batches is `SteadySearch`; all else is the same.
Of a search in rounds each begins with a new searcher, over what was best so far; batches go on counting.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from evomerge.evaluation import Evaluation
from evomerge.executors import Executor
from evomerge.recipe import Recipe
from evomerge.search.allocated_play import AllocatedPlay
from evomerge.search.asks import Asks
from evomerge.search.batch import Batch
from evomerge.search.batch_evaluator import BatchEvaluator
from evomerge.search.criteria import Criteria
from evomerge.search.draft_book import DraftBook
from evomerge.search.events import Ended, Event, Listener, Phase, Round, Told
from evomerge.search.folding import Fold
from evomerge.search.front import Front
from evomerge.search.plan import RepeatedFailures, SearchPlan, SearchResult
from evomerge.search.play import PlainPlay, Play, Played
from evomerge.search.progress import Progress, Watch
from evomerge.search.promotion import Promotion
from evomerge.search.rounds.continued import Continued
from evomerge.search.rounds.elites import Elites
from evomerge.search.searchers import Searcher
from evomerge.search.status.event_log import EventLog
from evomerge.search.status.live import LiveStatus
from evomerge.search.status.stopwatch import Stopwatch
from evomerge.search.steady import SteadySearch
from evomerge.store import LeaseLost, RunStore

__all__ = ["EMPTY_BATCHES", "run"]

EMPTY_BATCHES = 20  # batches in a row without a new recipe after which a search of genomes is taken to be over


def run(
    plan: SearchPlan,
    executor: Executor,
    store: RunStore,
    progress: Callable[[Progress], None] = lambda _: None,
    stop: Callable[[], str] = lambda: "none",
    listeners: Sequence[Listener] = (),
) -> SearchResult:
    """Runs a search, or goes on with one.

    Args:
        plan: The search.
        executor: Where candidates are scored; it is not closed.
        store: The run's store, open for writing.
        progress: Told after every outcome.
        stop: Asked between outcomes and batches. ``finish`` ends after the batch at work, without a promotion or a
            confirmation that has not begun; ``now`` ends at once by KeyboardInterrupt and loses what was being scored.
            Either can be gone on with.
        listeners: Told of every event.

    Returns:
        Why it ended and what it found.

    Raises:
        InputError: if objectives or constraints do not fit what the baselines recorded, or the searcher does not fit
            the plan.
        RepeatedFailures: if all baselines fail for one reason, or after `Budgets.max_failures` failures in a row.
            Starting again tries one candidate more.
        ReplayError: if the records do not belong to this plan.
        ExecutorError: if no worker can be started, or results are lost.
        LeaseLost: if another process has taken over the run's folder; nothing more is written to it.
        KeyboardInterrupt: if told to stop now.
    """
    clock = Stopwatch(store)
    status = LiveStatus(store, clock, executor, plan.rounds)
    told: list[Listener] = [EventLog(store), status, Watch(clock, plan.rounds, progress), *listeners]

    def emit(event: Event) -> None:
        for listener in told:
            listener(event)

    search = _Search(plan, executor, store, clock, stop, emit)
    with _kept(store.fold):
        try:
            return search.run()
        except RepeatedFailures:
            emit(Ended("failures"))
            raise
        except KeyboardInterrupt:
            emit(Ended("interrupted"))
            raise
        finally:
            status.close()


@contextlib.contextmanager
def _kept(keep: Callable[[], object]) -> Iterator[None]:
    """Keeps what a block leaves behind, however it ends; where that fails too, the first failure is to be told."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError, LeaseLost):
            keep()
        raise
    keep()


class _Search:
    """One session of a search; the arguments are those of `run`, the run's wall time, and what is told of events."""

    def __init__(
        self,
        plan: SearchPlan,
        executor: Executor,
        store: RunStore,
        clock: Stopwatch,
        stop: Callable[[], str],
        emit: Listener,
    ) -> None:
        self._plan = plan
        self._store = store
        self._clock = clock
        self._stop = stop
        self._emit = emit
        self._searching = False
        self._asks = 0
        self._told = 0
        self._candidates: list[Evaluation] = []  # in the order of the asks
        self._cut = False
        self._known: dict[str, Evaluation] = {}  # the baselines
        self._searcher: Searcher | None = None
        self._elites = Elites()
        self._fresh = False  # whether any of the last batch was answered now
        asks = Asks(store, Fold.of(plan.aggregate, plan.objectives, plan.constraints, plan.measures), emit)
        book = DraftBook(store, plan.drafts)
        self._evaluator = BatchEvaluator(asks, executor, plan.budgets.max_failures, stop, self._expired, book)

    def run(self) -> SearchResult:
        """All phases."""
        criteria = self._baselines()
        play = self._play_of(criteria)
        with _kept(partial(play.keep, self._store)):
            reason = self._search(criteria, play)
        self._searching = False
        promotion = Promotion(self._plan, self._store, self._evaluator, self._emit, self._told)
        candidates = play.current(self._candidates)
        if reason != "stopped" and not promotion.run(criteria, candidates, self._searcher, self._stop):
            reason = "stopped"
        play.front.extend(promotion.recommended)
        members = [self._store.at(member.ask) or member for member in play.front.members()]
        self._emit(Ended(reason))
        selected, confirmed = tuple(promotion.selected), tuple(promotion.confirmed)
        return SearchResult(reason, self._told, len(self._candidates), tuple(members), selected, confirmed, self._cut)

    def _baselines(self) -> Criteria:
        """Scores the baselines as batch 0."""
        names, recipes = list(self._plan.baselines), list(self._plan.baselines.values())
        self._emit(Phase("baselines", len({recipe.digest for recipe in recipes})))
        scored = self._evaluator.score(Batch(recipes, "search", 0, self._plan.items["search"], names))
        known = dict(zip(names, scored.evaluations, strict=True))
        plan = self._plan
        criteria = Criteria(plan.objectives, plan.constraints, known, plan.measures, plan.cells)
        criteria.columns(scored.evaluations)  # they are seen, though the searcher is not told of them
        self._known = known
        return criteria

    def _play_of(self, criteria: Criteria) -> Play:
        """How batches are asked."""
        if self._plan.allocation.plain:
            return PlainPlay(self._plan, self._evaluator, criteria, self._known)
        return AllocatedPlay(self._plan, self._evaluator, criteria, self._known)

    def _search(self, criteria: Criteria, play: Play) -> str:
        """Searches round after round until something ends it; returns what."""
        plan = self._plan
        starts = plan.starts if plan.starts is not None else np.zeros((0, plan.genome.n_var))
        if plan.later_starts is not None:
            starts = np.vstack([starts, plan.later_starts(self._known)])
        searcher = self._made(criteria, starts)
        self._searching = True
        plain = plan.allocation.plain
        limits = [limit for limit in (self._allowance(play, 0)[0], plan.most) if limit is not None]
        self._emit(Phase("search", min(limits, default=None), criteria if plain else None))
        if plan.steady is not None:
            return self._steady(criteria, searcher, play)
        for number in range(2, plan.rounds.count + 1):
            reason = self._round(searcher, play, plan.rounds.evaluations)
            if reason is not None:
                return reason
            if not self._entered(number, criteria, play):
                return "exhausted"
            assert self._plan.starts is not None
            searcher = Continued(self._made(criteria, self._plan.starts), number)
        return self._round(searcher, play, None) or "exhausted"

    def _made(self, criteria: Criteria, starts: NDArray[np.float64]) -> Searcher:
        """Makes the searcher of a round."""
        plan = self._plan
        problem = plan.problem(criteria.n_con, criteria.grid, starts, self._known)
        self._searcher = plan.searcher(problem)
        return self._searcher

    def _round(self, searcher: Searcher, play: Play, share: int | None) -> str | None:
        """Asks, scores and tells until the round or the search is over.

        Args:
            searcher: The round's.
            play: Plays batches.
            share: Candidates of the round; the last batch is cut to it, and nobody learns from that. None in the last
                round, which goes on to the end of the search.

        Returns:
            What ended the search; None where only the round is over.
        """
        budgets, plain, begun = self._plan.budgets, self._plan.allocation.plain, len(self._candidates)
        idle = stale = 0
        while True:
            limit, budget = self._allowance(play, len(self._candidates))
            left = None if share is None else share - (len(self._candidates) - begun)
            if self._stop() != "none":
                return "stopped"
            if limit == 0:
                return budget
            if left is not None and left <= 0:
                return None
            if share is None and budgets.patience is not None and stale >= budgets.patience:
                return "patience"  # where other rounds end belongs to the run, and a budget does not
            if idle >= EMPTY_BATCHES:
                return "exhausted" if share is None else None
            proposals = searcher.ask()
            if not proposals and self._plan.pool is not None:
                return "exhausted"  # it is told nothing of an empty batch, so the next would be empty too
            self._asks += 1
            found = play.play(self._asks, proposals[:left], searcher, limit)
            self._candidates += found.new
            self._fresh = found.fresh
            improved = play.improved(found)
            if not found.complete:
                self._cut = bool(found.new)
                return "seconds" if found.expired else found.short or budget
            if left is not None and left < len(proposals):
                return None
            self._tell(searcher, found, None if plain else play.front)
            idle = 0 if found.new else idle + 1
            stale = 0 if improved else stale + 1

    def _entered(self, number: int, criteria: Criteria, play: Play) -> bool:
        """Goes over to a further round; False where there are too few to merge in it."""
        plan, candidates = self._plan, play.current(self._candidates)
        self._elites.over(self._asks, plan.genome)
        chosen = self._elites.choose(criteria, candidates, *plan.elites_of(number))
        if not chosen:
            return False
        assert plan.next_space is not None
        space = plan.next_space(number, [Recipe.from_json(elite.recipe) for elite in chosen])
        self._elites.enter(chosen, space.alone)
        self._plan = plan.entering(space)
        play.enter(self._plan)
        self._emit(Round(number, tuple(elite.digest for elite in chosen), fresh=self._fresh))
        return True

    def _tell(self, searcher: Searcher, found: Played, front: Front | None) -> None:
        if found.observations:
            searcher.tell(found.observations)
            self._store.tell(dict(found.told))
        self._told = self._asks
        self._emit(Told(self._told, len(self._candidates), front, fresh=found.fresh))

    def _steady(self, criteria: Criteria, searcher: Searcher, play: Play) -> str:
        """The same without batches."""
        allowance = partial(self._allowance, play)
        search = SteadySearch(self._plan, self._evaluator, criteria, searcher, play.front, allowance)
        try:
            return search.run(EMPTY_BATCHES)
        finally:
            self._candidates = sorted(search.candidates, key=lambda candidate: candidate.order)
            self._told = search.batches

    def _allowance(self, play: Play, found: int) -> tuple[int | None, str]:
        """How many new candidates the budgets allow after so many, and the name of the tightest budget."""
        budgets = self._plan.budgets
        left: list[tuple[int, str]] = []
        if budgets.evaluations is not None:
            left.append((max(budgets.evaluations - found, 0), "evaluations"))
        if budgets.items is not None:
            allowed = play.allowance(budgets.items, found)
            left += [] if allowed is None else [(allowed, "items")]
        return min(left) if left else (None, "seconds")

    def _expired(self) -> bool:
        seconds = self._plan.budgets.seconds
        return self._searching and seconds is not None and self._clock.elapsed() >= seconds
