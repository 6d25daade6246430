"""The log of a search's events."""

from __future__ import annotations

from datetime import UTC, datetime

from evomerge.search.events import Event
from evomerge.store import RunStore

__all__ = ["EventLog"]


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
