"""Evaluation of batches: known evaluations come from the store, missing ones are run and kept."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from evomerge.evaluation import (
    Evaluation,
    Failure,
    ItemLists,
    Job,
    JsonText,
    Outcome,
    Provenance,
    Response,
    item_set_digest,
)
from evomerge.executors import Executor, run
from evomerge.search.batch import Batch, BatchResult
from evomerge.search.events import Asked, Failed, Listener, Retried, Scored
from evomerge.search.failures import ConsecutiveFailures, HeldFailures
from evomerge.search.folding import Fold, unkeepable
from evomerge.search.plan import ReplayError
from evomerge.store import RunStore, newly_asked

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
        store: Where records are kept.
        executor: Where jobs run.
        fold: Turns responses into metrics.
        max_failures: So many failures in a row end the run.
        stop: Asked between outcomes: ``none``, ``finish`` or ``now``.
        expired: Whether the wall-time budget is spent; asked before anything new is scored.
        emit: Told of every event.
    """

    store: RunStore
    executor: Executor
    fold: Fold
    max_failures: int
    stop: Callable[[], str]
    expired: Callable[[], bool]
    emit: Listener
    _seen: dict[tuple[str, str, str], Evaluation] = field(default_factory=dict)
    _row: ConsecutiveFailures = field(default_factory=ConsecutiveFailures)

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
        self._seen.update({(evaluation.digest, batch.split, work.item_set): evaluation for evaluation in new})
        found = tuple(self._seen.get((recipe.digest, batch.split, work.item_set)) for recipe in batch.recipes)
        return BatchResult(found, new, work.fresh, expired=bool(work.missing))

    def _begin(self, batch: Batch) -> _Work:
        """Looks up what the store knows of a batch."""
        places: dict[str, int] = {}
        item_set = item_set_digest(batch.items)
        for place, recipe in enumerate(batch.recipes):
            if (recipe.digest, batch.split, item_set) not in self._seen:
                places.setdefault(recipe.digest, place)
        places = dict(list(places.items())[: batch.limit])
        baselines = batch.number == 0 and batch.split == "search" and not batch.indices
        work = _Work(batch, item_set, places, {}, HeldFailures(baselines))
        self._row.begin(list(places))
        for digest, place in places.items():
            stored = self._stored(digest, work, place)
            if stored is not None:
                work.known[digest] = stored
                how = self.store.provenance(stored)
                self._row.add(stored, fresh=False, scored=how.attempt > 0)
                self._report(stored, how, fresh=False)
        missing = len(work.missing)
        asks = tuple(batch.ask(place) for place in places.values())
        self.emit(Asked(batch.split, batch.number, len(batch.recipes), missing, asks, fresh=missing > 0))
        return work

    def _stored(self, digest: str, work: _Work, place: int) -> Evaluation | None:
        batch, ask = work.batch, work.batch.ask(place)
        found = self.store.at(ask)
        same = found is not None and found.digest == digest
        if found is not None and same and found.item_set == work.item_set:
            return found
        if batch.split != "search":  # promoted once, whichever session came first; old runs may not say on which items
            kept = (self.store.lookup(digest, batch.split, item_set=items) for items in (work.item_set, ""))
            return next((evaluation for evaluation in kept if evaluation is not None), None)
        elsewhere = None if same else self.store.lookup(digest, batch.split, item_set=work.item_set)
        if elsewhere is not None and (elsewhere.name is not None or elsewhere.recommended):
            elsewhere = None  # an earlier session ended before it was proposed, and asked it as a reference
        if found is None and elsewhere is None:
            return None
        if elsewhere is not None:
            recorded = f"it as number {elsewhere.index} of batch {elsewhere.batch}"
        else:
            recorded = "it on other items" if same else f"recipe {found.digest[:12] if found else ''} there"
        raise ReplayError(
            f"recipe {digest[:12]} is proposed as number {ask.index} of batch {ask.batch}, but the run has recorded "
            f"{recorded}; {_versions_changed(self.store.manifest)}"
        )

    def _run(self, work: _Work) -> None:
        """Scores what is missing and keeps each evaluation as it comes; leaving early abandons what still runs."""
        jobs: list[Job] = []
        for digest in work.missing:
            job = self._job(work, digest)
            if job is not None:
                jobs.append(job)
        with closing(self._outcomes(jobs)) as outcomes:
            for job, outcome, provenance in outcomes:
                self._keep(work, job.recipe.digest, outcome, provenance)
                if self.stop() == "now":
                    raise KeyboardInterrupt
                if self.expired():
                    return
        for evaluation, provenance in work.held.release():
            self._append(work, evaluation, (), provenance)

    def _job(self, work: _Work, digest: str) -> Job | None:
        """The job that asks a recipe what it has not answered; None where there is nothing to ask."""
        batch, place = work.batch, work.places[digest]
        failure = self.store.failure(digest)
        if failure is not None:  # final, whatever it was asked
            self._keep(work, digest, Outcome(error=failure), Provenance())
            return None
        _, missing = self.store.find(digest, batch.items)
        if not missing:
            self._keep(work, digest, Outcome(), Provenance())
            return None
        return Job.of(batch.recipes[place], missing, batch.ask(place), history=batch.history)

    def _outcomes(self, jobs: Sequence[Job]) -> Generator[tuple[Job, Outcome, Provenance], None, None]:
        """Runs jobs; outcomes come in any order."""
        if not jobs:
            return
        by_id = {job.id: job for job in jobs}
        with closing(run(self.executor, jobs)) as results:
            for result in results:
                job = by_id[result.job]
                if result.attempt > 1:
                    self.emit(Retried(job.id, job.ask, result.attempt))
                seconds = dict(result.outcome.seconds)
                provenance = Provenance(attempt=result.attempt, worker=result.worker, seconds=seconds)
                yield job, result.outcome, provenance

    def _keep(self, work: _Work, digest: str, outcome: Outcome, provenance: Provenance) -> None:
        """Folds an outcome with what was known, and keeps the evaluation."""
        batch, place = work.batch, work.places[digest]
        known, missing = self.store.find(digest, batch.items)
        error = outcome.error or _unanswered(missing, outcome)
        metrics: dict[str, float] = {}
        if error is None:
            answers = {response.key: response for response in (*known, *outcome.responses)}
            asked = [answers[task, item] for task, ids in batch.items.items() for item in ids]
            metrics, error = self.fold(asked)
        if error is None and (error := unkeepable(outcome.responses)) is not None:
            metrics = {}
        evaluation = Evaluation(
            digest=digest,
            recipe=JsonText.of(batch.recipes[place].to_json()),
            ask=batch.ask(place),
            name=batch.names[place] if batch.names else None,
            metrics=metrics,
            error=error,
            probabilities=batch.probabilities,
            parents=batch.parents[place] if batch.parents else (),
        )
        if error is not None and work.held.holds(evaluation, provenance, len(work.places)):
            return
        for held, how in work.held.release():
            self._append(work, held, (), how)
        self._append(work, evaluation, outcome.responses if error is None else (), provenance)

    def _append(
        self, work: _Work, evaluation: Evaluation, responses: Sequence[Response], provenance: Provenance
    ) -> None:
        kept = self.store.append(evaluation, responses, items=work.batch.items, provenance=provenance)
        work.known[kept.digest] = kept
        work.fresh = True
        self._report(kept, provenance, fresh=True)
        self._row.add(kept, fresh=True, scored=provenance.attempt > 0)
        self._row.check(self.max_failures)

    def _report(self, evaluation: Evaluation, provenance: Provenance, *, fresh: bool) -> None:
        event = Scored if evaluation.error is None else Failed
        self.emit(event(evaluation, provenance.seconds, newly_asked(self.store, evaluation), fresh=fresh))


def _versions_changed(manifest: Mapping[str, Any]) -> str:
    """The versions that may be why proposals are not those of earlier sessions."""
    now, began = manifest.get("versions", {}), manifest.get("versions_at_start")
    if began is None:
        return "was it made with other versions of numpy, pymoo or cma?"
    names = [name for name in {**began, **now} if began.get(name) != now.get(name)]
    changed = (f"{name} {began.get(name)} (now {now.get(name)})" for name in names)
    return f"the run began with {', '.join(changed)}"


def _unanswered(missing: ItemLists, outcome: Outcome) -> Failure | None:
    """The failure of a worker that answered other items than it was asked."""
    wanted = {(task, item) for task, ids in missing.items() for item in ids}
    given = [response.key for response in outcome.responses]
    if len(given) == len(wanted) and set(given) == wanted:
        return None
    return Failure("error", f"the worker was asked {len(wanted)} items and answered {len(wanted & set(given))} of them")
