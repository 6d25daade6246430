"""Shows how a search is doing: one line that changes on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

from evomerge.search import Progress
from evomerge.texts import duration

_EVERY = 30.0  # seconds between lines where no terminal is watching
_REDRAW = 0.1  # seconds between two drawings of the changing line
_PHASES = {"selection": "selecting", "confirmation": "confirming"}


class ProgressLine:
    """Receives :class:`evomerge.search.Progress` values and shows them.

    Args:
        mode: ``line`` (changing), ``lines`` (one now and then), ``none``, or ``auto``: a changing line on a terminal.
        stream: Where to; standard error unless told otherwise, so that standard output holds results alone.
        clock: Monotonic seconds.
    """

    def __init__(
        self, mode: str = "auto", stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream if stream is not None else sys.stderr
        terminal = self._stream.isatty()
        self._mode = ("line" if terminal else "lines") if mode == "auto" else mode
        self._clock = clock
        self._shown_at: float | None = None
        self._phase: str | None = None
        self._drawn = 0

    def __call__(self, progress: Progress) -> None:
        """Shows where the search stands, if it is time to."""
        if self._mode == "none":
            return
        now = self._clock()
        new_phase = progress.phase != self._phase
        ended = progress.total is not None and progress.done >= progress.total
        wait = _REDRAW if self._mode == "line" else _EVERY
        if not (new_phase or ended or self._shown_at is None or now - self._shown_at >= wait):
            return
        if new_phase:
            self.close()
        self._phase, self._shown_at = progress.phase, now
        if self._mode == "line":
            self._draw(sentence(progress))
        else:
            print(sentence(progress), file=self._stream, flush=True)

    def close(self) -> None:
        """Leaves the changing line as it is, so that whatever is printed next begins a new one."""
        if self._drawn:
            print(file=self._stream, flush=True)
        self._drawn = 0

    def _draw(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        text = text if len(text) <= width else text[: width - 1] + "…"
        self._stream.write("\r" + text.ljust(self._drawn))
        self._stream.flush()
        self._drawn = len(text)


def sentence(progress: Progress) -> str:
    """One line for people: what is done and left, the best so far, the front, seconds and items per candidate."""
    total = f"/{progress.total}" if progress.total is not None else ""
    parts = [f"{_PHASES.get(progress.phase, progress.phase)} {progress.done}{total}"]
    if progress.round is not None and progress.phase == "search":
        parts.append(str(progress.round))
    if progress.remaining is not None and progress.done:
        parts.append(f"{duration(progress.remaining)} left")
    parts += [f"best {label} {value:.3f}" for label, value in progress.best.items()]
    if progress.front:
        parts.append(f"front {progress.front}")
    if progress.merge_seconds or progress.score_seconds:
        parts.append(f"{progress.merge_seconds:.2f} s merge + {progress.score_seconds:.2f} s score")
    if progress.items is not None:
        parts.append(f"{progress.items:.0f} items per candidate")
    if progress.failures:
        parts.append(f"{progress.failures} failed")
    return ", ".join(parts)
