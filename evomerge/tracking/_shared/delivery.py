"""Delivery to one tracker in a thread of its own: a tracker that is slow, hangs or fails costs the search nothing."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evomerge.tracking._shared.protocol import Entry, Tracker

__all__ = ["Delivery"]


@dataclass(frozen=True)
class _Conclusion:
    step: int
    values: Mapping[str, float]
    files: tuple[Path, ...]


class Delivery:
    """Hands entries on to a tracker, those alone that it does not hold.

    After the first exception the tracker is left alone; its words are kept for whoever asks. What it has not taken is
    offered again by the next session.

    Args:
        name: The tracker's name.
        make: Makes the tracker; it is called in the thread.
    """

    def __init__(self, name: str, make: Callable[[], Tracker]) -> None:
        self.name = name
        self._make = make
        self._waiting: queue.SimpleQueue[Entry | _Conclusion | None] = queue.SimpleQueue()
        self._problem: str | None = None
        self._moved = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"tracker {name}", daemon=True)
        self._thread.start()

    def entry(self, entry: Entry) -> None:
        """Takes an entry; steps ascend."""
        self._waiting.put(entry)

    def conclude(self, step: int, values: Mapping[str, float], files: Sequence[Path]) -> None:
        """Takes what stands at the end, see `Tracker.conclude`."""
        self._waiting.put(_Conclusion(step, values, tuple(files)))

    def problem(self) -> str | None:
        """The tracker's failure, told once; None where there is none, or it has been told."""
        problem, self._problem = self._problem, None
        return problem

    def close(self, patience: float) -> None:
        """Waits until all is delivered.

        Args:
            patience: Seconds without any progress after which a tracker is left behind, as one that hangs is.
        """
        self._waiting.put(None)
        self._moved = time.monotonic()
        while self._thread.is_alive() and time.monotonic() - self._moved < patience:
            self._thread.join(0.05)
        if self._thread.is_alive():
            self._problem = f"it has not answered for {patience:g} seconds and is not waited for"

    def _run(self) -> None:
        try:
            tracker = self._make()
            self._moved = time.monotonic()
            try:
                self._deliver(tracker)
            except BaseException:
                with contextlib.suppress(BaseException):  # the first failure is the one to be told
                    tracker.close()
                raise
            tracker.close()
        except BaseException as error:  # SystemExit too: a library may leave in its own way
            self._problem = f"{type(error).__name__}: {error}"

    def _deliver(self, tracker: Tracker) -> None:
        last = tracker.last()
        while True:
            taken = self._taken()
            entries = [one for one in taken if isinstance(one, Entry) and one.step > last]
            if entries:
                tracker.log(entries)
                last = entries[-1].step
            for one in taken:
                if isinstance(one, _Conclusion):
                    tracker.conclude(one.step, one.values, one.files)
            self._moved = time.monotonic()
            if None in taken:
                return

    def _taken(self) -> list[Entry | _Conclusion | None]:
        """All that waits, at least one; a replay brings thousands at once, which trackers keep faster together."""
        taken = [self._waiting.get()]
        while len(taken) < 500 and not self._waiting.empty():
            taken.append(self._waiting.get())
        return taken
