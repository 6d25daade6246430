"""Prediction of what a collection takes: disk, memory, passes and seconds, from headers and the texts."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from evomerge.checkpoints import CheckpointSource, stored_bytes
from evomerge.merging import Blueprint, LiveModel, ModelSettings, weight_map
from evomerge.statistics._shared.collection import Collection, Limits
from evomerge.statistics._shared.key import Wanted
from evomerge.statistics._shared.observing.regions import storage_of
from evomerge.statistics._shared.simulation import Meter, spread_evenly
from evomerge.statistics._shared.texts import Calibration, Passage
from evomerge.statistics._shared.windows import Pass, Plan, Sum

_HEADER, _ENTRY = 200, 60  # bytes of a file's header, and of each array's entry there beside its name
# What kernels, the allocator and Python's own objects take beside tensors, as measured: a share, and bytes.
_BESIDE, _OBJECTS = 0.06, 60_000_000
_TRIAL = (512, 1024, 1024)  # sizes of a product that shows how fast this machine is


@dataclass(frozen=True)
class Forecast:
    """Cost of a collection.

    Attributes:
        disk: Bytes of its files.
        passes: Passes over the texts.
        seconds: Seconds that the arithmetic takes at the speed of this machine, as it is now.
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
    longest = _longest(calibration)
    with _imagined(source, own) as live:
        named = {f"{index}": one for index, one in enumerate(wanted)}
        collection = Collection.of(live, longest, named, limits)
        weights = [*live.model.parameters(), *live.model.buffers()]
        plan, most, operations = collection.plan, 0, 0.0
        for one in _heaviest(plan):
            _begin(one.sums)
            with Meter(weights) as meter:
                for _ in replace(collection, plan=replace(plan, passes=(one,))).windows():
                    pass
            most = max(most, meter.peak + sum(found.nbytes for found in one.sums))
            same = sum(other.batch == one.batch for other in plan.passes)
            operations += same * meter.operations / sum(other.batch == one.batch for other in _heaviest(plan))
    texts = sum(len(passage.ids) for passage in calibration.passages) / len(longest.passages[0].ids)
    notes = tuple((name, text) for found in plan.notes.values() for name, text in found.items())
    sums = [found for one in plan.passes for found in one.sums]
    disk = sum(4 * math.prod(found.shape) + len(found.taps[0].site.name) + _ENTRY for found in sums)
    disk += _HEADER * len(plan.passes) * len(wanted)
    own_bytes = sum({storage_of(one): one.nbytes for one in weights}.values())  # tied ones once
    seconds = operations * texts / _speed()
    working = int(max(most, stored_bytes(source)) * (1 + _BESIDE)) + _OBJECTS
    return Forecast(disk, len(plan.passes), seconds, own_bytes, working, notes)


def _longest(calibration: Calibration) -> Calibration:
    """One sequence that takes as much memory as any of the texts."""
    length = max((len(passage.ids) for passage in calibration.passages), default=0)
    most = max((int(passage.scored.sum()) for passage in calibration.passages), default=0)
    scored = np.arange(length) >= length - most
    passages = (Passage(np.zeros(length, dtype=np.int32), scored),) if length else ()
    return Calibration(passages, calibration.tokens)


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


def _speed() -> float:
    """Floating-point operations a second of a matrix product on this machine."""
    rows, inner, columns = _TRIAL
    first, second = torch.ones(rows, inner), torch.ones(inner, columns)
    torch.mm(first, second)
    start = time.perf_counter()
    for _ in range(5):
        torch.mm(first, second)
    return 5 * 2 * math.prod(_TRIAL) / (time.perf_counter() - start)
