"""The wall time of a run."""

from __future__ import annotations

import time

from evomerge.store import RunStore

__all__ = ["STATUS", "Stopwatch"]

STATUS = "status.json"


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
