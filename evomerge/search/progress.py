"""What a person watching a search sees."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from evomerge.evaluation import Evaluation
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
        self._fresh: list[Evaluation] = []
        self._phase = ""
        self._phase_begin = self._begin
        self._phase_fresh = 0

    def elapsed(self) -> float:
        """Wall seconds of all sessions."""
        return self._before + time.monotonic() - self._begin

    def enter(self, phase: str) -> None:
        """Begins a phase."""
        self._phase, self._phase_begin, self._phase_fresh = phase, time.monotonic(), 0

    def scored(
        self,
        fresh: Evaluation,
        done: int,
        total: int | None,
        candidates: Sequence[Evaluation],
        scoring: Scoring | None,
    ) -> None:
        """Reports one new evaluation.

        Args:
            fresh: The evaluation.
            done: Evaluations of the phase that are there.
            total: Evaluations that the phase will have, or None.
            candidates: All searched candidates so far.
            scoring: What is better and what is feasible; None while the baselines are scored.
        """
        self._fresh.append(fresh)
        self._phase_fresh += 1
        each = (time.monotonic() - self._phase_begin) / self._phase_fresh
        front = scoring.front(candidates) if scoring is not None else []
        self._report(
            Progress(
                phase=self._phase,
                done=done,
                total=total,
                batch=fresh.batch,
                best=_best(front, scoring),
                front=len(front),
                failures=sum(candidate.error is not None for candidate in candidates),
                merge_seconds=self._mean("merge"),
                score_seconds=self._mean("score"),
                elapsed=self.elapsed(),
                remaining=None if total is None else each * max(total - done, 0),
            )
        )

    def _mean(self, part: str) -> float:
        return sum(evaluation.seconds.get(part, 0.0) for evaluation in self._fresh) / len(self._fresh)


def _best(front: Sequence[Evaluation], scoring: Scoring | None) -> dict[str, float]:
    """Best score per objective; each is reached on the front."""
    if scoring is None or not front:
        return {}
    best = {}
    for objective in scoring.objectives:
        scores = [objective.value(evaluation.metrics) for evaluation in front]
        best[objective.label] = max(scores) if objective.higher_is_better else min(scores)
    return best
