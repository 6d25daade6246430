"""Evaluation of batches: known evaluations come from the store, missing ones are run and kept."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from evomerge.evaluation import Evaluation, Job, Outcome, Provenance, Response, item_set_digest
from evomerge.executors import Executor, run
from evomerge.search.asks import Asks
from evomerge.search.batch import Batch, BatchResult
from evomerge.search.draft_book import DraftBook
from evomerge.search.events import Asked
from evomerge.search.failures import ConsecutiveFailures, HeldFailures

__all__ = ["BatchEvaluator"]


@dataclass
class _Work:
    """A batch that is being scored.

    Attributes:
        batch: The batch.
        item_set: Digest of the items that it asks.
        places: Digest to place of the recipes that the run has not seen, in the order of the ask.
        known: Digest to evaluation of those that have one.
        held: Failures that are not kept yet.
        fresh: Whether an evaluation was made now.
    """

    batch: Batch
    item_set: str
    places: dict[str, int]
    known: dict[str, Evaluation]
    held: HeldFailures
    fresh: bool = False

    @property
    def missing(self) -> list[str]:
        """Digests without an evaluation."""
        return [digest for digest in self.places if digest not in self.known]


@dataclass
class BatchEvaluator:
    """All that the run has seen so far, in the order of the asks, and the way to see more.

    Replaying a stored run and making a new one is the same code: an evaluation is looked up, and made only if it is not
    there; items that a recipe has answered are not asked again. A recipe is evaluated once on a set of items.

    Attributes:
        asks: The run's asks, one by one.
        executor: Where jobs run.
        max_failures: So many failures in a row end the run.
        stop: Asked between outcomes: ``none``, ``finish`` or ``now``.
        expired: Whether the wall-time budget is spent; asked before anything new is scored.
        book: What was written so far, for jobs to verify.
    """

    asks: Asks
    executor: Executor
    max_failures: int
    stop: Callable[[], str]
    expired: Callable[[], bool]
    book: DraftBook
    _seen: dict[tuple[str, str], dict[str, Evaluation]] = field(default_factory=dict)  # by split and items, digest
    _row: ConsecutiveFailures = field(default_factory=ConsecutiveFailures)

    def seen(self, digest: str, split: str, item_set: str) -> Evaluation | None:
        """The evaluation of a recipe on a set of items that the run has come past."""
        return self._of(split, item_set).get(digest)

    def replace(self, evaluation: Evaluation) -> None:
        """Lets an evaluation as it was written stand for what was taken for seen before that."""
        self._of(evaluation.split, evaluation.item_set)[evaluation.digest] = evaluation

    def passed(
        self,
        batch: Batch,
        evaluation: Evaluation,
        provenance: Provenance,
        given: Sequence[Response] = (),
        *,
        fresh: bool,
    ) -> None:
        """Takes an evaluation for seen that was asked by itself, not in a batch.

        Args:
            batch: It alone, in its place.
            evaluation: The evaluation, as it was kept.
            provenance: How it came about.
            given: What was answered for it, where that is not on disk yet.
            fresh: Whether it was made now.

        Raises:
            RepeatedFailures: if it was made now and is one consecutive failure too many.
        """
        self.replace(evaluation)
        self.book.add(batch, [evaluation], given, number=0)
        self._row.begin([evaluation.digest])
        self._row.add(evaluation, fresh=fresh, scored=provenance.attempt > 0)
        self._row.check(self.max_failures)

    def score(self, batch: Batch) -> BatchResult:
        """Scores a batch.

        Raises:
            EveryBaselineFailed: if all baselines fail for the same reason.
            RepeatedFailures: if an evaluation made now is one consecutive failure too many.
            ReplayError: if the store holds a record that belongs to another place of the run.
            KeyboardInterrupt: if told to stop now.
        """
        work = self._begin(batch)
        if work.missing and not self.expired():
            self._run(work)
        new = tuple(work.known[digest] for digest in work.places if digest in work.known)
        seen = self._of(batch.split, work.item_set)
        seen.update({evaluation.digest: evaluation for evaluation in new})
        self.book.add(batch, new, number=0 if batch.history is None else batch.history + 1)
        found = tuple(seen.get(recipe.digest) for recipe in batch.recipes)
        return BatchResult(found, new, work.fresh, expired=bool(work.missing))

    def _of(self, split: str, item_set: str) -> dict[str, Evaluation]:
        """Digest to evaluation of what the run has come past on a set of items."""
        return self._seen.setdefault((split, item_set), {})

    def _begin(self, batch: Batch) -> _Work:
        """Looks up what the store knows of a batch."""
        places: dict[str, int] = {}
        item_set = item_set_digest(batch.items)
        for place, recipe in enumerate(batch.recipes):
            if recipe.digest not in self._of(batch.split, item_set):
                places.setdefault(recipe.digest, place)
        places = dict(list(places.items())[: batch.limit])
        baselines = batch.number == 0 and batch.split == "search" and not batch.indices
        work = _Work(batch, item_set, places, {}, HeldFailures(baselines))
        self._row.begin(list(places))
        for digest, place in places.items():
            stored = self.asks.stored(batch, place, item_set)
            if stored is not None:
                work.known[digest] = stored
                how = self.asks.store.provenance(stored)
                self._row.add(stored, fresh=False, scored=how.attempt > 0)
                self.asks.report(stored, how, fresh=False)
        missing = len(work.missing)
        asks = tuple(batch.ask(place) for place in places.values())
        self.asks.emit(Asked(batch.split, batch.number, len(batch.recipes), missing, asks, fresh=missing > 0))
        return work

    def _run(self, work: _Work) -> None:
        """Scores what is missing and keeps each evaluation as it comes; leaving early abandons what still runs."""
        jobs: list[Job] = []
        drafts = self.book.drafts(work.batch)
        for digest in work.missing:
            job = self.asks.job(work.batch, work.places[digest], drafts)
            if isinstance(job, Job):
                jobs.append(job)
            else:
                self._keep(work, digest, job, Provenance())
        with closing(self._outcomes(jobs)) as outcomes:
            for job, outcome, provenance in outcomes:
                self._keep(work, job.recipe.digest, outcome, provenance)
                if self.stop() == "now":
                    raise KeyboardInterrupt
                if self.expired():
                    return
        for evaluation, provenance in work.held.release():
            self._append(work, evaluation, (), provenance)

    def _outcomes(self, jobs: Sequence[Job]) -> Generator[tuple[Job, Outcome, Provenance], None, None]:
        """Runs jobs; outcomes come in any order."""
        if not jobs:
            return
        by_id = {job.id: job for job in jobs}
        with closing(run(self.executor, jobs)) as results:
            for result in results:
                job = by_id[result.job]
                yield job, result.outcome, self.asks.came(job.ask, result)

    def _keep(self, work: _Work, digest: str, outcome: Outcome, provenance: Provenance) -> None:
        """Folds an outcome with what was known, and keeps the evaluation."""
        evaluation, responses = self.asks.evaluation(work.batch, work.places[digest], outcome)
        if evaluation.error is not None and work.held.holds(evaluation, provenance, len(work.places)):
            return
        for held, how in work.held.release():
            self._append(work, held, (), how)
        self._append(work, evaluation, responses, provenance)

    def _append(
        self, work: _Work, evaluation: Evaluation, responses: Sequence[Response], provenance: Provenance
    ) -> None:
        kept = self.asks.append(work.batch, evaluation, responses, provenance)
        work.known[kept.digest] = kept
        work.fresh = True
        self._row.add(kept, fresh=True, scored=provenance.attempt > 0)
        self._row.check(self.max_failures)
