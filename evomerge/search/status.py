"""Listeners that keep a search's status and its events in the run's folder."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from evomerge.search.events import Asked, Ended, Event, Phase, Scored, Told
from evomerge.store import RunStore

__all__ = ["STATUS", "EventLog", "Status", "Stopwatch"]

STATUS = "status.json"
_OVER = ("evaluations", "items", "seconds", "patience", "exhausted")


class Stopwatch:
    """Wall seconds of all sessions of a run.

    Args:
        store: The run; its status holds the seconds of earlier sessions.
    """

    def __init__(self, store: RunStore) -> None:
        self._before = float((store.read_json(STATUS) or {}).get("seconds", 0.0))
        self._begin = time.monotonic()

    def elapsed(self) -> float:
        """Seconds until now."""
        return self._before + time.monotonic() - self._begin


class EventLog:
    """Appends the events of a session to ``events.jsonl``.

    Evaluations, batches and promotions that a replay finds in the store are left out; phases and the end of each
    session are not.
    """

    def __init__(self, store: RunStore) -> None:
        self._store = store

    def __call__(self, event: Event) -> None:
        """Keeps an event."""
        if event.fresh:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            self._store.log_event({"event": event.name, "time": now, **event.to_json()})


class Status:
    """Keeps ``status.json``: the phase, how much is done, and why the search ended.

    Args:
        store: The run.
        clock: Its wall time.
    """

    def __init__(self, store: RunStore, clock: Stopwatch) -> None:
        self._store = store
        self._clock = clock
        self._phase = ""
        self._batches = 0
        self._candidates: set[str] = set()  # one may be evaluated on several sets of items

    def __call__(self, event: Event) -> None:
        """Takes an event in; phases, asked and told batches and the end are written down."""
        if isinstance(event, Scored):
            if self._phase == "search":
                self._candidates.add(event.evaluation.digest)
        elif isinstance(event, Phase):
            self._phase = event.phase
            self._write(None)
        elif isinstance(event, Asked):
            if event.fresh:  # a replay is over; until then a session has not come as far as earlier ones had
                self._write(None)
        elif isinstance(event, Told):
            self._batches = event.batch
            if event.fresh:
                self._write(None)
        elif isinstance(event, Ended):
            self._write(event.reason)

    def _write(self, reason: str | None) -> None:
        self._store.write_json(
            STATUS,
            {
                "phase": "done" if reason in _OVER else self._phase,
                "batches": self._batches,
                "evaluations": len(self._candidates),
                "finished": reason in _OVER,
                "reason": reason,
                "seconds": round(self._clock.elapsed(), 3),
            },
        )
