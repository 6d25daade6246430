"""Counts failures in a row, and ends a run when their cause lies outside the candidates."""

from __future__ import annotations

import re
from collections.abc import Sequence

from evomerge.evaluation import Evaluation, Failure, Provenance
from evomerge.search.plan import EveryBaselineFailed, RepeatedFailures

__all__ = ["ConsecutiveFailures", "HeldFailures"]


class ConsecutiveFailures:
    """Consecutive failures at the end of what is complete, in the order of the asks, not of the outcomes."""

    def __init__(self) -> None:
        self._row: list[tuple[Failure, bool]] = []
        self._waiting: list[str] = []
        self._next = 0
        self._known: dict[str, tuple[Failure | None, bool] | None] = {}  # None: nobody was asked

    def begin(self, digests: Sequence[str]) -> None:
        """Begins a batch of these recipes; what was not complete of the last one is forgotten."""
        self._waiting, self._next, self._known = list(digests), 0, {}

    def add(self, evaluation: Evaluation, *, fresh: bool, scored: bool) -> None:
        """Adds an evaluation of the batch.

        Args:
            evaluation: The evaluation.
            fresh: Whether it was made now.
            scored: Whether a worker had to be asked; what follows from earlier answers or failures is no new sign.
        """
        self._known[evaluation.digest] = (evaluation.error, fresh) if scored else None
        while self._next < len(self._waiting) and self._waiting[self._next] in self._known:
            outcome = self._known.pop(self._waiting[self._next])
            self._next += 1
            if outcome is None:
                continue
            error, new = outcome
            if error is None:
                self._row.clear()
            else:
                self._row.append((error, new))

    def check(self, most: int) -> None:
        """Refuses to go on after so many failures.

        A row that was already complete when the run was started again does not end it before a candidate was tried.

        Raises:
            RepeatedFailures: if the row is that long and its last failure is of this session.
        """
        if len(self._row) >= most and self._row[-1][1]:
            raise RepeatedFailures(len(self._row), self._row[0][0])


class HeldFailures:
    """Failures of baselines, held back until one of them is scored or they turn out to have different reasons.

    Where all fail for one reason it is not theirs, and nothing is recorded: the same command tries them again.

    Args:
        active: Whether failures are held at all.
    """

    def __init__(self, active: bool) -> None:
        self._active = active
        self._held: list[tuple[Evaluation, Provenance]] = []

    def holds(self, evaluation: Evaluation, provenance: Provenance, total: int) -> bool:
        """Takes a failure, unless failures are recorded as they come.

        Args:
            evaluation: The failed one.
            provenance: How it came about.
            total: How many evaluations there will be.

        Raises:
            EveryBaselineFailed: if this is the last of them and all have failed for the same reason.
        """
        if not self._active:
            return False
        self._held.append((evaluation, provenance))
        failures = [held.error for held, _ in self._held if held.error is not None]
        if len(failures) == total and len({_reason(failure) for failure in failures}) == 1:
            raise EveryBaselineFailed(total, failures[0])
        return True

    def release(self) -> list[tuple[Evaluation, Provenance]]:
        """Gives back what is held, in the order of the asks, and holds nothing from now on."""
        held = sorted(self._held, key=lambda pair: pair[0].order)
        self._active, self._held = False, []
        return held


def _reason(failure: Failure) -> tuple[str, str]:
    """A failure without numbers and quoted texts, such as answers, that differ from one model to the next."""
    return failure.kind, re.sub(r"[0-9.]+", "0", re.sub(r"(['\"]).*\1", "''", failure.message, flags=re.DOTALL))
