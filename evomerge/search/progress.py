"""What a person watching a search sees."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from evomerge.evaluation import Evaluation
from evomerge.search.front import Front
from evomerge.search.scoring import Scoring

__all__ = ["Progress", "Watch"]


@dataclass(frozen=True)
class Progress:
    """The state of a search; sent after every outcome.

    Attributes:
        phase: ``baselines``, ``search`` or ``confirmation``.
        done: Evaluations of this phase that are there, those of earlier sessions included.
        total: Evaluations there will be in this phase as far as budgets tell, or None.
        batch: The batch at work.
        best: Objective label to best score of a feasible candidate, in natural units.
        front: Size of the feasible non-dominated front.
        failures: Failed candidates so far.
        merge_seconds: Mean over this session's evaluations.
        score_seconds: Mean over this session's evaluations.
        elapsed: Wall seconds of all sessions.
        remaining: Expected wall seconds until ``total``, or None.
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


class Watch:
    """Keeps time and turns evaluations into `Progress`.

    Args:
        before: Wall seconds of earlier sessions.
        report: Told of every new evaluation.
    """

    def __init__(self, before: float, report: Callable[[Progress], None]) -> None:
        self._before = before
        self._begin = time.monotonic()
        self._report = report
        self._fresh = 0
        self._seconds = {"merge": 0.0, "score": 0.0}
        self._front: Front | None = None
        self._phase = ""
        self._phase_begin = self._begin
        self._phase_fresh = self._done = 0
        self._total: int | None = None

    def elapsed(self) -> float:
        """Wall seconds of all sessions."""
        return self._before + time.monotonic() - self._begin

    def enter(self, phase: str, total: int | None) -> None:
        """Begins a phase that will have so many evaluations as far as is known."""
        self._phase, self._phase_begin, self._total = phase, time.monotonic(), total
        self._phase_fresh = self._done = 0

    def follow(self, scoring: Scoring) -> None:
        """Says what is better and what is feasible; from then on evaluations of the search make a front."""
        self._front = Front(scoring)

    def scored(self, evaluation: Evaluation, fresh: bool) -> None:
        """Takes in an evaluation of the phase; one that was made now, and not in an earlier session, is reported."""
        self._done += 1
        if self._front is not None and self._phase == "search":
            self._front.add(evaluation)
        if fresh:
            self._fresh += 1
            self._phase_fresh += 1
            for part in self._seconds:
                self._seconds[part] += evaluation.seconds.get(part, 0.0)
            self._report(self._progress(evaluation.batch))

    def _progress(self, batch: int) -> Progress:
        each = (time.monotonic() - self._phase_begin) / self._phase_fresh
        front = self._front
        return Progress(
            phase=self._phase,
            done=self._done,
            total=self._total,
            batch=batch,
            best=front.best() if front is not None else {},
            front=len(front) if front is not None else 0,
            failures=front.failures if front is not None else 0,
            merge_seconds=self._seconds["merge"] / self._fresh,
            score_seconds=self._seconds["score"] / self._fresh,
            elapsed=self.elapsed(),
            remaining=None if self._total is None else each * max(self._total - self._done, 0),
        )
