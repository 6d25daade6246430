"""Pauses between looks at a shared folder: short at first, then a twentieth of the time that has passed."""

from __future__ import annotations

import time

__all__ = ["Pause"]

_FIRST, _SHARE = 0.02, 0.05


class Pause:
    """The pauses of one wait. Whoever waits for long is late by a twentieth, and asks a server the less often.

    Args:
        most: Longest pause, in seconds.
    """

    def __init__(self, most: float) -> None:
        self._most = most
        self._begin = time.monotonic()

    def next(self) -> float:
        """Seconds until the next look."""
        return min(max(_FIRST, _SHARE * (time.monotonic() - self._begin)), self._most)
