"""Time that passes as a test says, so that what follows from measured seconds is seen on any machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch


class Clock:
    """Stands in for the module ``time``.

    Args:
        step: Seconds that pass until a reading, given which reading it is; the first is 1.

    Attributes:
        readings: How often it has been read.
    """

    def __init__(self, step: Callable[[int], float]) -> None:
        self._step = step
        self._now = 0.0
        self.readings = 0

    @classmethod
    def by_threads(cls, seconds: Mapping[int, float]) -> Clock:
        """A clock by which all work takes as long as the number of torch's threads says."""
        return cls(lambda _: seconds[torch.get_num_threads()])

    def perf_counter(self) -> float:
        """The seconds that have passed."""
        self.readings += 1
        self._now += self._step(self.readings)
        return self._now
