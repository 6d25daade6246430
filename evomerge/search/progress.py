"""The state of a search for the person who watches it: the first listener of its events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from evomerge.evaluation import Evaluation
from evomerge.search.events import Event, Phase, Scored, Told
from evomerge.search.front import Front
from evomerge.search.rounds.settings import RoundSettings
from evomerge.search.rounds.watched import AtRound, RoundWatch
from evomerge.search.status.stopwatch import Stopwatch

__all__ = ["Progress", "Watch"]


@dataclass(frozen=True)
class Progress:
    """The state of a search; sent after every outcome.

    Attributes:
        phase: ``baselines``, ``search``, ``references``, ``selection`` or ``confirmation``.
        done: Evaluations of this phase that are there, those of earlier sessions included.
        total: Evaluations there will be in this phase as far as budgets and searcher tell, or None.
        batch: The batch at work.
        best: Objective label to best score of a feasible candidate, in natural units.
        front: Size of the feasible non-dominated front.
        failures: Failed candidates so far.
        merge_seconds: Mean over this session's evaluations.
        score_seconds: Mean over this session's evaluations.
        elapsed: Wall seconds of all sessions.
        remaining: Expected wall seconds until ``total``, those of models of later rounds' elites included, or None.
        items: Items that a candidate of the search was asked so far, on average; None where all are asked the same.
        rate: Evaluations per second of this phase in this session, or None.
        round: The round that the search is in, or was in last; None where there is one, or none yet.
    """

    phase: str
    done: int
    total: int | None
    batch: int
    best: Mapping[str, float]
    front: int
    failures: int
    merge_seconds: float
    score_seconds: float
    elapsed: float
    remaining: float | None
    items: float | None = None
    rate: float | None = None
    round: AtRound | None = None


class Watch:
    """Turns the events of a search into `Progress`.

    Args:
        clock: The run's wall time.
        rounds: The rounds of the search.
        report: Told of every new evaluation.
    """

    def __init__(self, clock: Stopwatch, rounds: RoundSettings, report: Callable[[Progress], None]) -> None:
        self._clock = clock
        self._rounds = RoundWatch(rounds)
        self._report = report
        self._fresh = 0
        self._seconds = {"merge": 0.0, "score": 0.0}
        self._front: Front | None = None
        self._baselines: list[Evaluation] = []
        self._phase = Phase("", None)
        self._phase_begin = clock.elapsed()
        self._phase_fresh = 0
        self._done: set[str] = set()  # digests: a candidate may be evaluated on several sets of items
        self._asked = 0
        self._batch = 0

    def __call__(self, event: Event) -> None:
        """Takes an event in; an evaluation that was made now is reported."""
        self._rounds(event)
        if isinstance(event, Phase):
            self._phase, self._phase_begin = event, self._clock.elapsed()
            self._phase_fresh, self._done, self._asked = 0, set(), 0
            if event.phase == "search" and event.criteria is not None:
                self._front = Front(event.criteria)
        elif isinstance(event, Scored):
            self._scored(event)
        elif isinstance(event, Told) and event.front is not None:
            self._front = event.front

    def _scored(self, event: Scored) -> None:
        self._done.add(event.evaluation.digest)
        self._asked += event.asked
        if self._phase.phase == "baselines":
            self._baselines.append(event.evaluation)
        if self._front is not None and self._phase.criteria is not None:
            self._front.add(event.evaluation)
        self._batch = event.evaluation.batch
        if event.fresh:
            self._fresh += 1
            self._phase_fresh += 1
            for part in self._seconds:
                self._seconds[part] += event.seconds.get(part, 0.0)
            self._report(self.progress())

    def hypervolume(self) -> float | None:
        """Hypervolume of the front now, see :meth:`Front.hypervolume`; None before there is a front."""
        return self._front.hypervolume(self._baselines) if self._front is not None else None

    def progress(self) -> Progress:
        """The state now; there is no remaining time before something was made in this phase and session."""
        made = max(self._phase_fresh, 1)
        spent, missing = self._rounds.making()
        elapsed = self._clock.elapsed() - self._phase_begin
        each = max(elapsed - spent, elapsed / 2) / made  # what is a guess is at most half of it
        front, total = self._front, self._phase.total
        varied = self._phase.phase == "search" and self._phase.criteria is None
        return Progress(
            phase=self._phase.phase,
            done=len(self._done),
            total=total,
            batch=self._batch,
            best=front.best() if front is not None else {},
            front=len(front) if front is not None else 0,
            failures=front.failures if front is not None else 0,
            merge_seconds=self._seconds["merge"] / max(self._fresh, 1),
            score_seconds=self._seconds["score"] / max(self._fresh, 1),
            elapsed=self._clock.elapsed(),
            remaining=_left(total, len(self._done), each, missing) if total is not None and self._phase_fresh else None,
            items=self._asked / len(self._done) if varied and self._done else None,
            rate=1.0 / each if self._phase_fresh and each > 0.0 else None,
            round=self._rounds.now(),
        )


def _left(total: int, done: int, each: float, further: float) -> float:
    """Seconds until so many are done, at so many each, and further ones; none where all are."""
    return each * (total - done) + further if done < total else 0.0
