"""Prediction of what a collection takes: disk, memory, passes and seconds, from headers and the texts."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from evomerge.checkpoints import CheckpointSource, stored_bytes
from evomerge.merging import Blueprint, LiveModel, ModelSettings, weight_map
from evomerge.statistics._shared.collection import Collection, Limits, Progress
from evomerge.statistics._shared.key import Wanted
from evomerge.statistics._shared.machine import Machine
from evomerge.statistics._shared.observing.regions import storage_of
from evomerge.statistics._shared.simulation import Meter, spread_evenly
from evomerge.statistics._shared.texts import Calibration, Passage
from evomerge.statistics._shared.windows import Pass, Plan, Sum

_HEADER, _ENTRY = 200, 60  # bytes of a file's header, and of each array's entry there beside its name
# What kernels, the allocator and Python's own objects take beside tensors, as measured: a share, and bytes.
_BESIDE, _OBJECTS = 0.06, 60_000_000


@dataclass(frozen=True)
class Forecast:
    """Cost of a collection.

    Attributes:
        disk: Bytes of its files.
        passes: Passes over the texts.
        seconds: Seconds that it takes at the speed of this machine, as it is now; without loading the model.
        live: Bytes of the model in memory.
        working: Most bytes beside it: sums, activations and gradients, or the checkpoint's files while it is loaded.
        notes: By what is wanted, tensor to a sentence about its array.
    """

    disk: int
    passes: int
    seconds: float
    live: int
    working: int
    notes: tuple[tuple[str, str], ...] = ()

    @property
    def memory(self) -> int:
        """Most bytes beside the interpreter and its libraries."""
        return self.live + self.working


def forecast(
    source: CheckpointSource,
    calibration: Calibration,
    wanted: Sequence[Wanted],
    limits: Limits,
    settings: ModelSettings | None = None,
) -> Forecast:
    """Predicts a collection without reading any weights: its code runs on tensors without values.

    Args:
        source: The model's checkpoint.
        calibration: The texts.
        wanted: The statistics.
        limits: Bounds.
        settings: How the model computes; float32 by default.

    Raises:
        InputError: If the collection would be refused.
    """
    own = settings or ModelSettings(torch.float32)
    machine = Machine.measured()
    named = {f"{index}": one for index, one in enumerate(wanted)}
    with _imagined(source, own) as live:
        weights = [*live.model.parameters(), *live.model.buffers()]
        with Meter(weights, machine) as probe:
            collection = Collection.of(live, _longest(calibration), named, limits)
        plan = collection.plan
        most = max((_run(collection, one, weights, None)[0] for one in _heaviest(plan)), default=0)
        average = replace(collection, calibration=_average(calibration))
        seconds = probe.seconds + _seconds(average, weights, machine, len(calibration.passages))
    notes = tuple((name, text) for found in plan.notes.values() for name, text in found.items())
    sums = [found for one in plan.passes for found in one.sums]
    disk = sum(4 * math.prod(found.shape) + len(found.taps[0].site.name) + _ENTRY for found in sums)
    disk += _HEADER * len(plan.passes) * len(wanted)
    own_bytes = sum({storage_of(one): one.nbytes for one in weights}.values())  # tied ones once
    working = int(max(most, stored_bytes(source)) * (1 + _BESIDE)) + _OBJECTS
    seconds += machine.writing(disk) + sum(found.nbytes for found in sums) / machine.fresh
    return Forecast(disk, len(plan.passes), seconds, own_bytes, working, notes)


def _run(
    collection: Collection, one: Pass, weights: Sequence[torch.Tensor], machine: Machine | None
) -> tuple[int, float, float]:
    """A pass over one sequence: most bytes, and seconds of the sequence and of what follows the last one."""
    _begin(one.sums)
    sequence = 0.0

    def after(progress: Progress) -> None:
        nonlocal sequence
        sequence = meter.seconds

    with _garbage_kept(), Meter(weights, machine) as meter:
        for _ in replace(collection, plan=replace(collection.plan, passes=(one,))).windows(after):
            pass
    return meter.peak + sum(found.nbytes for found in one.sums), sequence, meter.seconds - sequence


@contextmanager
def _garbage_kept() -> Iterator[None]:
    """A context in which cycles are not collected: when that happens is chance, and the most memory is sought."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _seconds(collection: Collection, weights: Sequence[torch.Tensor], machine: Machine, sequences: int) -> float:
    """Seconds of all passes over so many sequences like the one of the collection."""
    plan, total = collection.plan, 0.0
    for batch in dict.fromkeys(one.batch for one in plan.passes):
        passes = [one for one in plan.passes if one.batch == batch]
        heaviest = [one for one in _heaviest(plan) if one.batch == batch]
        found = [_run(collection, one, weights, machine)[1:] for one in heaviest]
        total += len(passes) * sum(sequences * each + end for each, end in found) / len(found)
    return total


def _longest(calibration: Calibration) -> Calibration:
    """One sequence that takes as much memory as any of the texts."""
    length = max((len(passage.ids) for passage in calibration.passages), default=0)
    most = max((int(passage.scored.sum()) for passage in calibration.passages), default=0)
    scored = np.arange(length) >= length - most
    passages = (Passage(np.zeros(length, dtype=np.int32), scored),) if length else ()
    return Calibration(passages, calibration.tokens)


def _average(calibration: Calibration) -> Calibration:
    """One sequence that takes as long as the texts do on average: work is nearly proportional to their tokens."""
    count = len(calibration.passages)
    length = max(2, round(sum(len(passage.ids) for passage in calibration.passages) / count))
    most = min(length - 1, round(sum(int(passage.scored.sum()) for passage in calibration.passages) / count))
    scored = np.arange(length) >= length - most
    return Calibration((Passage(np.zeros(length, dtype=np.int32), scored),), calibration.tokens)


@contextmanager
def _imagined(source: CheckpointSource, settings: ModelSettings) -> Iterator[LiveModel]:
    """A context in which all tensors are without values, with a model that would be loaded from a checkpoint."""
    blueprint = Blueprint.of(
        source,
        dtype=settings.dtype,
        attention=settings.attention,
        trust_remote_code=settings.trust_remote_code,
        causal=settings.causal,
    )
    pieces = weight_map(blueprint.model, {name: tuple(spec.shape) for name, spec in source.specs.items()})
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = blueprint.empty(source.path, settings.dtype, "cpu")
        spread_evenly(model)
        yield LiveModel(model.eval().requires_grad_(False), pieces, settings)


def _heaviest(plan: Plan) -> list[Pass]:
    """Of forward passes, and of backward passes of each size of batch, the first and that with the largest sums.

    The first window of a backward pass has the lowest layers, so that the graph is the largest.
    """
    found: list[Pass] = []
    for batch in dict.fromkeys(one.batch for one in plan.passes):
        passes = [one for one in plan.passes if one.batch == batch]
        largest = max(passes, key=lambda one: sum(each.nbytes for each in one.sums))
        found += [largest] if passes[0] is largest or not batch else [passes[0], largest]
    return found


def _begin(sums: Sequence[Sum]) -> None:
    """Makes all accumulators, as they are in all sequences but the first."""
    for one in sums:
        one.total = torch.zeros(one.shape, dtype=one.statistic.dtype)
