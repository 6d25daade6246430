"""Single asks: the evaluation that a run has of one, the job that makes it, and its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evomerge.evaluation import (
    Ask,
    Drafts,
    Evaluation,
    Failure,
    ItemLists,
    Job,
    JsonText,
    Outcome,
    Provenance,
    Response,
)
from evomerge.executors import Result
from evomerge.search.batch import Batch
from evomerge.search.events import Failed, Listener, Retried, Scored
from evomerge.search.folding import Fold, unkeepable
from evomerge.search.plan import ReplayError
from evomerge.store import RunStore, newly_asked

__all__ = ["Asks"]


@dataclass(frozen=True)
class Asks:
    """The asks of a run, one by one.

    Attributes:
        store: Where records are kept.
        fold: Turns responses into metrics.
        emit: Told of every event.
    """

    store: RunStore
    fold: Fold
    emit: Listener

    def stored(self, batch: Batch, place: int, item_set: str) -> Evaluation | None:
        """The evaluation that an earlier session has kept of an ask.

        Args:
            batch: The batch.
            place: The recipe's place in it.
            item_set: Digest of the batch's items.

        Raises:
            ReplayError: if the store holds a record that belongs to another place of the run.
        """
        digest, ask = batch.recipes[place].digest, batch.ask(place)
        found = self.store.at(ask)
        same = found is not None and found.digest == digest
        if found is not None and same and found.item_set == item_set:
            return found
        if batch.split != "search":  # promoted once, whichever session came first; old runs may not say on which items
            kept = (self.store.lookup(digest, batch.split, item_set=items) for items in (item_set, ""))
            return next((evaluation for evaluation in kept if evaluation is not None), None)
        elsewhere = None if same else self.store.lookup(digest, batch.split, item_set=item_set)
        if elsewhere is not None and (elsewhere.name is not None or elsewhere.recommended):
            elsewhere = None  # an earlier session ended before it was proposed, and asked it as a reference
        if found is None and elsewhere is None:
            return None
        if elsewhere is not None:
            recorded = f"it as number {elsewhere.index} of batch {elsewhere.batch}"
        else:
            recorded = "it on other items" if same else f"recipe {found.digest[:12] if found else ''} there"
        raise self.contradicted(ask, digest, recorded)

    def contradicted(self, ask: Ask, digest: str, recorded: str) -> ReplayError:
        """The error for a proposal that the run knows better.

        Args:
            ask: Its place.
            digest: The recipe's digest; empty where nothing was proposed.
            recorded: What the run has recorded, in words that follow "the run has recorded".
        """
        proposed = f"recipe {digest[:12]} is" if digest else "nothing is"
        return ReplayError(
            f"{proposed} proposed as number {ask.index} of batch {ask.batch}, but the run has recorded {recorded}; "
            f"{_versions_changed(self.store.manifest)}"
        )

    def job(self, batch: Batch, place: int, drafts: Drafts) -> Job | Outcome:
        """The job that asks a recipe what it has not answered; where there is nothing to ask, the outcome.

        Args:
            batch: The batch.
            place: The recipe's place in it.
            drafts: What earlier candidates answered to the batch's items.
        """
        recipe = batch.recipes[place]
        failure = self.store.failure(recipe.digest)
        if failure is not None:  # final, whatever it was asked
            return Outcome(error=failure)
        _, missing = self.store.find(recipe.digest, batch.items)
        return Job.of(recipe, missing, batch.ask(place), drafts=drafts) if missing else Outcome()

    def came(self, ask: Ask, result: Result) -> Provenance:
        """How a result came about; that it took several attempts is told."""
        if result.attempt > 1:
            self.emit(Retried(result.job, ask, result.attempt))
        return Provenance(attempt=result.attempt, worker=result.worker, seconds=dict(result.outcome.seconds))

    def evaluation(self, batch: Batch, place: int, outcome: Outcome) -> tuple[Evaluation, Sequence[Response]]:
        """Folds an outcome with what was known.

        Returns:
            The evaluation, and the answers to keep with it.
        """
        recipe = batch.recipes[place]
        known, missing = self.store.find(recipe.digest, batch.items)
        error = outcome.error or _unanswered(missing, outcome)
        metrics: dict[str, float] = {}
        if error is None:
            answers = {response.key: response for response in (*known, *outcome.responses)}
            asked = [answers[task, item] for task, ids in batch.items.items() for item in ids]
            metrics, error = self.fold(asked)
        if error is None and (error := unkeepable(outcome.responses)) is not None:
            metrics = {}
        evaluation = Evaluation(
            digest=recipe.digest,
            recipe=JsonText.of(recipe.to_json()),
            ask=batch.ask(place),
            name=batch.names[place] if batch.names else None,
            metrics=metrics,
            error=error,
            probabilities=batch.probabilities,
            parents=batch.parents[place] if batch.parents else (),
        )
        return evaluation, outcome.responses if error is None else ()

    def append(
        self, batch: Batch, evaluation: Evaluation, responses: Sequence[Response], provenance: Provenance
    ) -> Evaluation:
        """Keeps an evaluation, and tells of it."""
        kept = self.store.append(evaluation, responses, items=batch.items, provenance=provenance)
        self.report(kept, provenance, fresh=True)
        return kept

    def report(self, evaluation: Evaluation, provenance: Provenance, *, fresh: bool) -> None:
        """Tells of an evaluation that was made or found."""
        event = Scored if evaluation.error is None else Failed
        self.emit(event(evaluation, provenance.seconds, newly_asked(self.store, evaluation), fresh=fresh))


def _versions_changed(manifest: Mapping[str, Any]) -> str:
    """The versions that may be why proposals are not those of earlier sessions."""
    now = manifest.get("versions", {})
    began = manifest.get("versions_at_start", now)
    changed = [f"{name} {own} (now {now.get(name, 'none')})" for name, own in began.items() if now.get(name) != own]
    if changed:
        return f"the run began with {', '.join(changed)}"
    unknown = [name for name in now if name not in began]  # of a run that began before they were recorded
    return f"was it made with other versions of {', '.join(unknown) or 'numpy, pymoo or cma'}?"


def _unanswered(missing: ItemLists, outcome: Outcome) -> Failure | None:
    """The failure of a worker that answered other items than it was asked."""
    wanted = {(task, item) for task, ids in missing.items() for item in ids}
    given = [response.key for response in outcome.responses]
    if len(given) == len(wanted) and set(given) == wanted:
        return None
    return Failure("error", f"the worker was asked {len(wanted)} items and answered {len(wanted & set(given))} of them")
