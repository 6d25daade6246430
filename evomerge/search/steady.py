"""The asynchronous search: a new candidate is asked as soon as a worker is free, the searcher told as answers come.

What is proposed depends on who was told before whom, so the order of asks and evaluations is a part of the records
(`store.turns`). A session repeats that order first, whatever the workers are like now, then starts again what was asked
and not answered, and goes on. Candidates are numbered by their asks: as many as the searcher's population are a batch,
for places, for patience and for those who read. All that was begun is told, also where a budget ends the search.

A worker that is free waits for nothing but the searcher: an evaluation is kept, and the ask that follows noted, when
the next job is on its way. What a kill leaves is all the same a beginning of the order, as lines are written in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from evomerge.evaluation import Ask, Evaluation, Outcome, Provenance, Response, ToldValues, count_items, item_set_digest
from evomerge.evaluation.drafts import Drafts
from evomerge.executors import ExecutorError
from evomerge.search.batch import Batch
from evomerge.search.batch_evaluator import BatchEvaluator
from evomerge.search.criteria import Criteria
from evomerge.search.events import Asked, Event, Told
from evomerge.search.front import Front
from evomerge.search.plan import SearchPlan
from evomerge.search.play import recipe_of
from evomerge.search.searchers import CellRecord, Observation, Proposal, Searcher
from evomerge.store import Turn

__all__ = ["SteadySearch"]


@dataclass(frozen=True)
class _Open:
    """A recipe that has been asked and has no evaluation yet.

    Attributes:
        batch: It alone, in its place.
        proposals: The proposals that wait for it, first the one that it was asked for.
        drafts: What had been told when it was asked; nothing where its evaluation is recorded.
    """

    batch: Batch
    proposals: list[Proposal]
    drafts: Drafts


class SteadySearch:
    """One session of an asynchronous search.

    Args:
        plan: The search; ``plan.steady`` is the number of candidates that count as a batch.
        evaluator: What the run has seen; the executor in it is not closed.
        criteria: From evaluations to values.
        searcher: A `partial` one.
        front: Gets the candidates.
        allowance: How many new candidates the budgets allow after so many, and the name of the tightest budget.

    Attributes:
        candidates: Evaluations of candidates, in the order in which they came.
        told: Proposals whose values the searcher was told, repeats included.
    """

    def __init__(
        self,
        plan: SearchPlan,
        evaluator: BatchEvaluator,
        criteria: Criteria,
        searcher: Searcher,
        front: Front,
        allowance: Callable[[int], tuple[int | None, str]],
    ) -> None:
        assert plan.steady is not None
        self.candidates: list[Evaluation] = []
        self.told = 0
        self._plan = plan
        self._evaluator = evaluator
        self._asks = evaluator.asks
        self._store = evaluator.asks.store
        self._criteria = criteria
        self._cells = CellRecord.of(criteria.grid, len(criteria.objectives))
        self._searcher = searcher
        self._front = front
        self._allowance = allowance
        self._size = plan.steady
        self._items = plan.items["search"]
        self._item_set = item_set_digest(self._items)
        self._asked = 0  # asks, also those to which nothing was proposed
        self._open: dict[str, _Open] = {}  # by digest, in the order of the asks
        self._jobs: dict[str, str] = {}  # id of an outstanding job to digest
        self._idle = self._stale = 0  # asks without a new recipe, and tells without an improvement, in a row
        self._silent = False  # whether the last ask had no proposal, and nothing has been told since
        self._empty = 0  # asks without a new recipe after which the searcher is exhausted
        self._reason: str | None = None  # why no more is asked
        self._later: list[Callable[[], object]] = []  # what is to be kept and told of, in its order

    @property
    def batches(self) -> int:
        """How many batches have been begun by what the searcher was told."""
        return -(-self.told // self._size)

    def run(self, empty: int) -> str:
        """Repeats what is recorded and goes on; returns why it ended.

        Args:
            empty: Batches in a row without a new recipe after which the searcher is taken to be exhausted.

        Raises:
            ReplayError: if the records do not belong to this plan.
            RepeatedFailures: if too many candidates fail in a row.
            ExecutorError: if no worker can be started, or results are lost.
            KeyboardInterrupt: if told to stop now.
        """
        self._empty = empty * self._size
        for turn in self._store.turns:
            if turn.digest is None:
                self._repeat(turn.ask)
                self._over()  # as after every answer: one that was at work when patience ended may have improved
            elif not self._over():
                self._ask(turn)
        self._write()
        try:
            return self._go_on()
        finally:
            try:
                self._write()  # whatever ended it: an answer that came is not lost
            finally:
                for job in self._jobs:
                    self._evaluator.executor.cancel(job)

    def _go_on(self) -> str:
        """Starts what was asked and is not answered, then asks whenever a worker is free."""
        if self._evaluator.stop() != "none":
            return "stopped"
        if self._evaluator.expired() and (self._open or not self._over()):
            return "seconds"
        for opened in list(self._open.values()):
            self._start(opened)
        self._fill()
        self._write()
        for result in self._evaluator.executor.results(self._more) if self._jobs else ():
            if result.job not in self._jobs:
                raise ExecutorError(f"the executor brought a result of {result.job}, which is not outstanding")
            opened = self._open[self._jobs.pop(result.job)]
            self._keep(opened, result.outcome, self._asks.came(opened.batch.ask(0), result))
            if expired := self._evaluator.expired():
                self._reason = self._reason or "seconds"
            self._fill()
            self._write()
            if self._evaluator.stop() == "now":
                raise KeyboardInterrupt
            if expired:
                return "seconds"
        if self._jobs:
            raise ExecutorError(f"the executor lost the results of {len(self._jobs)} jobs: {', '.join(self._jobs)}")
        return self._reason or "exhausted"

    def _more(self) -> None:
        """Gives jobs to workers that have come while nothing ended."""
        if not self._evaluator.expired():
            self._fill()
            self._write()

    def _fill(self) -> None:
        """Asks until every worker has a job, or nothing more may be asked now."""
        while len(self._jobs) < self._evaluator.executor.capacity and not self._over():
            waiting = bool(self._jobs)
            if self._idle >= self._empty or (self._silent and waiting):
                self._reason = self._reason if waiting else "exhausted"
                return
            self._ask(None)

    def _over(self) -> bool:
        """Whether nothing more is asked in this session: once that is so it stays so, and what is begun is told."""
        if self._reason is None:
            limit, budget = self._allowance(len(self.candidates) + len(self._open))
            patience = self._plan.budgets.patience
            if self._evaluator.stop() != "none":
                self._reason = "stopped"
            elif limit == 0:
                self._reason = budget
            elif patience is not None and self._stale >= patience * self._size:
                self._reason = "patience"
        return self._reason is not None

    def _ask(self, recorded: Turn | None) -> None:
        """Asks the searcher for one candidate.

        Args:
            recorded: The turn that is repeated; None for a new one, whose job is started.
        """
        number, index = divmod(self._asked, self._size)
        proposals = self._searcher.ask(1)
        self._asked += 1
        if not proposals:
            self._idle, self._silent = self._idle + self._size, True
            self._check(recorded, Ask("search", number + 1, index), "")
            return
        proposal = proposals[0]
        recipe = recipe_of(self._plan, proposal)
        parents = [proposal.parents]
        batch = Batch([recipe], "search", number + 1, self._items, parents=parents, indices=[index], history=0)
        self._check(recorded, batch.ask(0), recipe.digest)
        self._idle += 1
        known = self._evaluator.seen(recipe.digest, "search", self._item_set)
        if known is not None:
            self._tell(known, [proposal], fresh=recorded is None)
        elif recipe.digest in self._open:
            self._open[recipe.digest].proposals.append(proposal)
        else:
            self._idle = 0
            self._begin(batch, proposal, recorded)

    def _check(self, recorded: Turn | None, ask: Ask, digest: str) -> None:
        """Keeps a turn, or makes sure that it is the recorded one."""
        if recorded is not None and recorded != Turn(ask, digest):
            was = f"{recorded.digest[:12]} for {recorded.ask}" if recorded.digest else f"no recipe for {recorded.ask}"
            raise self._asks.contradicted(ask, digest, f"recipe {was}")
        if recorded is None:
            self._later.append(partial(self._store.asked, ask, digest))

    def _begin(self, batch: Batch, proposal: Proposal, recorded: Turn | None) -> None:
        """Opens a recipe that the run has not seen; what is repeated has its evaluation come in a later turn."""
        fresh = self._asks.stored(batch, 0, self._item_set) is None
        opened = _Open(batch, [proposal], self._evaluator.book.drafts(batch) if fresh else {})
        self._open[batch.recipes[0].digest] = opened
        self._emit(Asked("search", batch.number, 1, int(fresh), (batch.ask(0),), fresh=recorded is None))
        if recorded is None:
            self._start(opened)

    def _start(self, opened: _Open) -> None:
        job = self._asks.job(opened.batch, 0, opened.drafts)
        if isinstance(job, Outcome):
            self._keep(opened, job, Provenance())
            return
        self._evaluator.executor.submit(job)
        self._jobs[job.id] = job.recipe.digest

    def _keep(self, opened: _Open, outcome: Outcome, provenance: Provenance) -> None:
        """Keeps an evaluation, by which its place in the order is settled, and tells the searcher."""
        made, responses = self._asks.evaluation(opened.batch, 0, outcome)
        evaluation = replace(made, items=count_items(self._items), item_set=self._item_set)
        place = len(self.candidates)
        self._later.append(partial(self._append, place, opened.batch, evaluation, responses, provenance))
        self._evaluator.passed(opened.batch, evaluation, provenance, responses, fresh=True)
        self._close(evaluation, fresh=True)

    def _append(
        self, place: int, batch: Batch, evaluation: Evaluation, responses: Sequence[Response], provenance: Provenance
    ) -> None:
        """Writes an evaluation; what was written stands for it from then on, as its recipe lies on disk."""
        kept = self._asks.append(batch, evaluation, responses, provenance)
        if place < len(self.candidates):  # not where it was one failure too many
            self.candidates[place] = kept
        self._evaluator.replace(kept)

    def _repeat(self, ask: Ask) -> None:
        """Takes an evaluation from the records; one that was asked beyond a budget of this session is left out."""
        evaluation = self._store.at(ask)
        opened = self._open.get(evaluation.digest) if evaluation is not None else None
        if evaluation is None or opened is None or opened.batch.ask(0) != ask:
            return
        how = self._store.provenance(evaluation)
        self._write()
        self._asks.report(evaluation, how, fresh=False)
        self._evaluator.passed(opened.batch, evaluation, how, fresh=False)
        self._close(evaluation, fresh=False)

    def _close(self, evaluation: Evaluation, *, fresh: bool) -> None:
        proposals = self._open.pop(evaluation.digest).proposals
        self.candidates.append(evaluation)
        self._idle, self._silent = min(self._idle, self._empty - 1), False
        improved, told = self._front.add(evaluation), self._tell(evaluation, proposals, fresh=fresh)
        improved = improved if self._cells is None else self._cells.add(told)
        self._stale = 0 if improved else self._stale + len(proposals)
        values = ToldValues(tuple(told[0].F.tolist()), tuple(told[0].G.tolist()))
        self._later.append(partial(self._store.tell, {evaluation.ask: values}))
        if not fresh:
            self._write()

    def _tell(self, evaluation: Evaluation, proposals: list[Proposal], *, fresh: bool) -> list[Observation]:
        """Tells the searcher of all proposals of an evaluation; gives what it is told."""
        F, G = self._criteria.columns([evaluation])
        (own,) = self._criteria.measured([evaluation])
        told = [Observation(one.id, F[0], G[0], measures=own, items=evaluation.items) for one in proposals]
        self._searcher.tell(told)
        before, self.told = self.told // self._size, self.told + len(proposals)
        if self.told // self._size > before:
            self._emit(Told(self.told // self._size, len(self.candidates), fresh=fresh))
        return told

    def _emit(self, event: Event) -> None:
        self._later.append(partial(self._asks.emit, event))

    def _write(self) -> None:
        """Keeps what was decided, in the order in which it was, and tells of it."""
        later, self._later = self._later, []
        for write in later:
            write()
