"""The protocol between a run and what follows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

__all__ = ["STEP", "Entry", "TrackedRun", "Tracker"]

STEP = "evaluations"  # the value of every entry that says which step it is


@dataclass(frozen=True)
class TrackedRun:
    """A run as a tracker gets to know it.

    Attributes:
        id: A name that no other run has, the same in every session.
        name: For people: the name of the run's folder.
        folder: An own folder of the tracker inside the run's; it is there.
        config: The configuration, dotted key to value as JSON has them.
    """

    id: str
    name: str
    folder: Path
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Entry:
    """One point of the curves.

    Attributes:
        step: Number of evaluations of candidates on search items so far; 0 for the baselines. Each step has one entry.
        values: Name to finite number, and the step itself under ``evaluations``. Names are groups and labels,
            ``best/t1.acc``; labels are the user's own words.
        time: Seconds since the epoch when it came about, or when a later session found it.
    """

    step: int
    values: Mapping[str, float]
    time: float


class Tracker(Protocol):
    """A place that keeps curves and results of runs.

    All calls come from one thread, which is not the search's. An exception from any of them is a warning to the user,
    after which the tracker is left alone until the next session; the search never notices.
    """

    def last(self) -> int:
        """The last step that it holds, from whatever session; -1 for none.

        It is asked once, before anything is logged, and must be what the tracker really holds and not what it was
        given: entries up to it are never offered again, all later ones are.
        """
        ...

    def log(self, entries: Sequence[Entry]) -> None:
        """Keeps entries; their steps ascend, within a call and from call to call."""
        ...

    def conclude(self, step: int, values: Mapping[str, float], files: Sequence[Path]) -> None:
        """Keeps what stands at a session's end. Sessions that end alike say the same again, which must change nothing.

        Args:
            step: The last step of the curves.
            values: Name to number: scores with their intervals, split by split, ``test/knee/t1.acc`` with
                ``test/knee/t1.acc/low`` and ``/high``.
            files: The report.
        """
        ...

    def close(self) -> None:
        """Ends the session; all that was logged is kept."""
        ...
