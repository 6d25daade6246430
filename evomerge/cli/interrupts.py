"""Interrupts: of a search, the first finishes the batch and reports, the second stops now; other verbs stop at once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

NOTICE = "\ninterrupted: finishing the batch, then reporting; once more stops now"


@contextmanager
def orderly_end() -> Iterator[None]:
    """While it is entered, SIGTERM ends the program as Ctrl-C does, so that a folder half made is removed.

    Where somebody else has said what the signal means, or in another thread than the main one, nothing changes.
    """
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Interrupts:
    """While it is entered, SIGINT and SIGTERM are counted rather than fatal.

    The second of them raises ``KeyboardInterrupt`` where the main thread stands: records are appended whole, so the
    same command goes on from there.

    Attributes:
        count: How many came.
    """

    def __init__(self) -> None:
        self.count = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._came)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    @property
    def interrupted(self) -> bool:
        """Whether any came."""
        return self.count > 0

    def stop(self) -> str:
        """``none``, ``finish`` (end after this batch) or ``now``."""
        return ("none", "finish", "now")[min(self.count, 2)]

    def _came(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 1:
            raise KeyboardInterrupt
        print(NOTICE, file=sys.stderr, flush=True)
