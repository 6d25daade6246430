"""Scoring a batch: what the store knows is taken from it, what is missing is run and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from evomerge.evaluation import Evaluation, Failure, Job, Outcome
from evomerge.executors import Executor
from evomerge.recipe import Recipe
from evomerge.search.plan import RepeatedFailures, ReplayError
from evomerge.search.scoring import finite
from evomerge.store import RunStore

__all__ = ["Batch", "Ledger", "Scored"]


@dataclass(frozen=True)
class Batch:
    """Recipes to be scored together.

    Attributes:
        recipes: In the order of the ask.
        split: The split of the items.
        number: Which batch of the run it is.
        items: Task to item ids.
        names: One per recipe, None for candidates; empty when there are only candidates.
        limit: At most so many of the recipes that are new to the run are scored; None for all.
    """

    recipes: Sequence[Recipe]
    split: str
    number: int
    items: Mapping[str, tuple[str, ...]]
    names: Sequence[str | None] = ()
    limit: int | None = None


@dataclass(frozen=True)
class Scored:
    """What became of a batch.

    Attributes:
        found: One evaluation per recipe, the same object for equal recipes; None where the limit, the clock or a stop
            came first.
        new: The evaluations that the run had not seen in an earlier batch, in the order of the ask.
    """

    found: tuple[Evaluation | None, ...]
    new: tuple[Evaluation, ...]

    @property
    def complete(self) -> bool:
        """Whether every recipe has its evaluation."""
        return all(evaluation is not None for evaluation in self.found)

    @property
    def evaluations(self) -> list[Evaluation]:
        """The evaluations that are there, in the order of the ask."""
        return [evaluation for evaluation in self.found if evaluation is not None]


@dataclass
class Ledger:
    """All that the run has seen so far, in the order of the asks, and the way to see more.

    Replaying a stored run and making a new one is the same code: an evaluation is looked up, and run only if it is not
    there.

    Attributes:
        store: Where records are kept.
        executor: Where jobs run.
        max_failures: So many failures in a row end the run.
        stop: Asked between outcomes: ``none``, ``finish`` or ``now``.
        expired: Whether the wall-time budget is spent; asked before anything new is scored.
        scored: Told of every evaluation that the run has not seen in an earlier batch, and whether it was made now.
    """

    store: RunStore
    executor: Executor
    max_failures: int
    stop: Callable[[], str]
    expired: Callable[[], bool]
    scored: Callable[[Evaluation, bool], None]
    fresh: set[str] = field(default_factory=set)
    _seen: dict[tuple[str, str], Evaluation] = field(default_factory=dict)
    _row: list[Evaluation] = field(default_factory=list)

    def score(self, batch: Batch) -> Scored:
        """Scores a batch.

        Raises:
            RepeatedFailures: if an evaluation made now completes a row of failures.
            ReplayError: if the store holds a record that belongs to another place of the run.
            KeyboardInterrupt: if told to stop now.
        """
        places = self._new_places(batch)
        known = {digest: self._stored(digest, batch, index) for digest, index in places.items()}
        for evaluation in known.values():
            if evaluation is not None:
                self.scored(evaluation, False)
        if None in known.values() and not self.expired():
            self._run(batch, places, known)
        self._row = self._failures(known.values())
        self._seen.update({(digest, batch.split): e for digest, e in known.items() if e is not None})
        found = tuple(self._seen.get((recipe.digest, batch.split)) for recipe in batch.recipes)
        return Scored(found, tuple(e for e in known.values() if e is not None))

    def _new_places(self, batch: Batch) -> dict[str, int]:
        """Digest to index of the recipes that the run has not seen, each once, up to the limit."""
        places: dict[str, int] = {}
        for index, recipe in enumerate(batch.recipes):
            if (recipe.digest, batch.split) not in self._seen:
                places.setdefault(recipe.digest, index)
        return dict(list(places.items())[: batch.limit])

    def _stored(self, digest: str, batch: Batch, index: int) -> Evaluation | None:
        stored = self.store.find(digest, batch.split)
        if stored is None or batch.split != "search":
            return stored  # on the test split a recipe is scored once, whichever confirmation came first
        if (stored.batch, stored.index) == (batch.number, index):
            return stored
        raise ReplayError(
            f"recipe {digest[:12]} is proposed as number {index} of batch {batch.number}, but the run has recorded it "
            f"as number {stored.index} of batch {stored.batch}; was it made with other versions of numpy, pymoo or cma "
            "(see versions in manifest.json)?"
        )

    def _run(self, batch: Batch, places: Mapping[str, int], known: dict[str, Evaluation | None]) -> None:
        """Scores what is missing and keeps each evaluation as it comes; leaving early abandons what still runs."""
        missing = [digest for digest, evaluation in known.items() if evaluation is None]
        jobs = [Job(batch.recipes[places[digest]], batch.split, batch.items) for digest in missing]
        with closing(self.executor.run(jobs)) as outcomes:
            for number, outcome in outcomes:
                digest = missing[number]
                evaluation = _record(jobs[number], outcome, batch, places[digest])
                responses = outcome.responses if evaluation.error is None else ()
                evaluation = known[digest] = self.store.append(evaluation, responses)
                self.fresh.add(digest)
                self.scored(evaluation, True)
                self._end_row(known.values())
                if self.stop() == "now":
                    raise KeyboardInterrupt
                if self.expired():
                    return

    def _end_row(self, evaluations: Iterable[Evaluation | None]) -> None:
        row = self._failures(evaluations)
        # A row that was already complete when the run was started again does not end it before a candidate was tried.
        if len(row) >= self.max_failures and row[-1].digest in self.fresh:
            first = row[0].error
            assert first is not None
            raise RepeatedFailures(len(row), first)

    def _failures(self, evaluations: Iterable[Evaluation | None]) -> list[Evaluation]:
        """The row of failures at the end of what is complete, in the order of the asks, whatever order they came in."""
        row = list(self._row)
        for evaluation in evaluations:
            if evaluation is None:
                break
            row = [*row, evaluation] if evaluation.error is not None else []
        return row


def _record(job: Job, outcome: Outcome, batch: Batch, index: int) -> Evaluation:
    error, metrics = outcome.error, dict(outcome.metrics)
    if error is None and not finite(metrics):
        wrong = ", ".join(f"{key} = {value}" for key, value in metrics.items() if not finite({key: value}))
        error = Failure("nonfinite", f"a score is not finite: {wrong}")
    return Evaluation(
        digest=job.recipe.digest,
        recipe=job.recipe.to_json(),
        split=batch.split,
        batch=batch.number,
        index=index,
        name=batch.names[index] if batch.names else None,
        metrics={} if error is not None else metrics,
        error=error,
        seconds=dict(outcome.seconds),
        items=job.n_items,
    )
