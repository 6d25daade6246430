"""Collection of statistics: passes over texts, one for each window of tensors that fits into memory."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Collection as Names
from dataclasses import dataclass
from typing import Self

import torch

from evomerge.errors import InputError
from evomerge.merging import LiveModel
from evomerge.statistics._shared.key import Wanted
from evomerge.statistics._shared.observing.observation import plain_experts
from evomerge.statistics._shared.observing.sites import Taps, find_taps
from evomerge.statistics._shared.passes import gathered, run
from evomerge.statistics._shared.statistic import Counts
from evomerge.statistics._shared.texts import Calibration
from evomerge.statistics._shared.windows import Pass, Plan, plan


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
    """Results of one pass.

    Attributes:
        arrays: By key, the tensor's name on disk to its array, float32 on the CPU.
        unseen: By key, tensors that no text reached; they have no array.
    """

    arrays: Mapping[str, Mapping[str, torch.Tensor]]
    unseen: Mapping[str, tuple[str, ...]]


Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Collection:
    """A collection that has been planned and not yet run.

    Attributes:
        live: The model, as it is when the windows are asked for.
        calibration: The texts.
        taps: The model's tensors.
        plan: The passes.
    """

    live: LiveModel
    calibration: Calibration
    taps: Taps
    plan: Plan

    @classmethod
    def of(
        cls,
        live: LiveModel,
        calibration: Calibration,
        wanted: Mapping[str, Wanted],
        limits: Limits,
        done: Mapping[str, Names] | None = None,
    ) -> Self:
        """Plans a collection.

        Args:
            live: The model.
            calibration: The texts.
            wanted: Statistics under keys of the caller's choice.
            limits: Bounds.
            done: By key, tensors that are left out.

        Raises:
            InputError: If a statistic has a problem, or there are no texts; all problems.
        """
        if not calibration.passages:
            raise InputError("there are no calibration texts; name a file with calibration=[FILE.jsonl]")
        taps = find_taps(live, calibration.passages[0].ids.tolist())
        return cls(live, calibration, taps, plan(taps, wanted, limits.memory, done))

    def windows(self, report: Report | None = None) -> Iterator[Window]:
        """Runs the passes.

        Args:
            report: Told of progress after each sequence.
        """
        passages = self.calibration.passages
        pace = _Pace(len(passages) * len(self.plan.passes), report)
        for one in self.plan.passes:
            with plain_experts(self.live.model):
                run(self.live, self.taps, one, passages, pace.step)
            yield self._finished(one)

    @torch.no_grad()
    def _finished(self, one: Pass) -> Window:
        arrays: dict[str, dict[str, torch.Tensor]] = {}
        unseen: dict[str, tuple[str, ...]] = {}
        state = self.live.model.state_dict()
        for found in one.sums:
            name = found.taps[0].site.name
            total, found.total = found.total, None
            if total is None:
                unseen[found.key] = (*unseen.get(found.key, ()), name)
                continue
            counts = Counts(found.tokens, found.batches)
            weight = functools.partial(gathered, found.taps[0].pieces, state)
            made = found.statistic.finish(total, counts, weight, found.options)
            arrays.setdefault(found.key, {})[name] = made.float().cpu().contiguous()
        return Window(arrays, unseen)


class _Pace:
    """Counts sequences and tells of them."""

    def __init__(self, total: int, report: Report | None) -> None:
        self._total, self._report, self._done = total, report, 0
        self._start = time.monotonic()

    def step(self) -> None:
        """One sequence more."""
        self._done += 1
        if self._report is not None:
            self._report(Progress(self._done, self._total, time.monotonic() - self._start))


def collect(
    live: LiveModel,
    calibration: Calibration,
    wanted: Mapping[str, Wanted],
    limits: Limits | None = None,
    report: Report | None = None,
) -> Iterator[Window]:
    """Computes statistics of a live model, window by window, and keeps nothing.

    Args:
        live: The model as it is now.
        calibration: The texts.
        wanted: Statistics under keys of the caller's choice.
        limits: Bounds.
        report: Told of progress.

    Raises:
        InputError: If a statistic has a problem, or there are no texts; all problems.
    """
    return Collection.of(live, calibration, wanted, limits or Limits()).windows(report)
