"""A line now and then where preparing tensors takes long, so that it does not look as if nothing happened."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TextIO, TypeVar

from evomerge.texts import duration

Prepared = TypeVar("Prepared")

_FIRST = 5.0  # seconds until the first line: most methods prepare in less
_EVERY = 30.0  # seconds between lines


class PreparationNotice:
    """Says how many tensors are prepared, and about how long the others take.

    It is the process that prepares which says so, be it a worker of a search or a merge; the other workers wait.

    Args:
        bounds: The tensors that are prepared, with the most bytes that each takes: the measure of work.
        stream: Where to; standard error unless told otherwise.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        bounds: Mapping[str, int],
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bounds = bounds
        self._stream = stream
        self._clock = clock

    def over(self, tensors: Iterable[tuple[str, Prepared]]) -> Iterator[tuple[str, Prepared]]:
        """Passes prepared tensors on as they come, and says a line when it is time."""
        started = self._clock()
        due, said, work = started + _FIRST, False, 0
        for count, (name, prepared) in enumerate(tensors, start=1):
            yield name, prepared
            work, now = work + self._bounds[name], self._clock()
            if now >= due and count < len(self._bounds):
                self._say(f"{count} of {len(self._bounds)} tensors are prepared{self._left(work, now - started)}")
                due, said = now + _EVERY, True
        if said:
            self._say(f"all {len(self._bounds)} tensors are prepared, in {duration(self._clock() - started)}")

    def _left(self, work: int, seconds: float) -> str:
        """The time that is left at the pace so far, in words; nothing where no work is done."""
        whole = sum(self._bounds.values())
        return f", about {duration(seconds * (whole - work) / work)} left" if work else ""

    def _say(self, text: str) -> None:
        stream, line = self._stream or sys.stderr, f"evomerge: {text}"
        if stream.isatty():  # over the changing line that may stand there
            line = "\r" + line.ljust(shutil.get_terminal_size().columns - 1)
        print(line, file=stream, flush=True)
