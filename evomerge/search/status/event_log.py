"""The log of a search's events."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime

from evomerge.search.events import Event, Round
from evomerge.store import RunStore

__all__ = ["EventLog"]


class EventLog:
    """Appends the events of a session to ``events.jsonl``.

    Evaluations, batches and promotions that a replay finds in the store are left out; phases and the end of each
    session are not. A round that an earlier session ended before it could log is logged by the next one.
    """

    def __init__(self, store: RunStore) -> None:
        self._store = store

    def __call__(self, event: Event) -> None:
        """Keeps an event."""
        if event.fresh or (isinstance(event, Round) and not self._logged(event)):
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            self._store.log_event({"event": event.name, "time": now, **event.to_json()})

    def _logged(self, event: Round) -> bool:
        """Whether the log has a round; lines that cannot be read are passed over, as nothing depends on any."""
        path = self._store.folder / "events.jsonl"
        for line in path.read_bytes().splitlines() if path.exists() else ():
            with contextlib.suppress(ValueError, AttributeError):
                found = json.loads(line)
                if (found.get("event"), found.get("number")) == (event.name, event.number):
                    return True
        return False
