"""Collection of statistics: passes over texts, one for each window of tensors that fits into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from evomerge.merging import LiveModel
from evomerge.statistics._shared.key import Wanted
from evomerge.statistics._shared.store import StatisticsFolder
from evomerge.statistics._shared.texts import Calibration


@dataclass(frozen=True)
class Limits:
    """Bounds of a collection.

    Attributes:
        memory: Most bytes of accumulators at one time.
    """

    memory: int = 4_000_000_000


@dataclass(frozen=True)
class Progress:
    """How far a collection is.

    Attributes:
        done: Sequences that have gone through the model, over all passes.
        total: All of them.
        seconds: Seconds so far.
    """

    done: int
    total: int
    seconds: float

    @property
    def left(self) -> float:
        """Seconds that are left, at the pace so far."""
        return self.seconds * (self.total - self.done) / max(self.done, 1)


@dataclass(frozen=True)
class Window:
    """Arrays of one pass: statistic name to the tensor's name on disk to its array."""

    arrays: Mapping[str, Mapping[str, torch.Tensor]]


Report = Callable[[Progress], None]


def collect(
    live: LiveModel, calibration: Calibration, wanted: Sequence[Wanted], limits: Limits, report: Report | None = None
) -> Iterator[Window]:
    """Computes statistics of a live model, window by window.

    Args:
        live: The model as it is now.
        calibration: The texts.
        wanted: The statistics.
        limits: Bounds.
        report: Told of progress.
    """
    raise NotImplementedError


def fill(
    folder: StatisticsFolder,
    live: LiveModel,
    calibration: Calibration,
    wanted: Mapping[str, Wanted],
    limits: Limits,
    report: Report | None = None,
) -> None:
    """Makes sure that statistics are in a folder: found there, or collected now.

    Args:
        folder: The folder.
        live: The model as it is now.
        calibration: The texts.
        wanted: Key to statistic.
        limits: Bounds.
        report: Told of progress.
    """
    raise NotImplementedError
