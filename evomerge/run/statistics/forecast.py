"""Forecast of collecting statistics: bytes and passes, and seconds from a few texts that go through a model now."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from evomerge import statistics
from evomerge.checkpoints import CheckpointSource, TensorSpec, is_head, is_vocabulary
from evomerge.run import environment
from evomerge.run.statistics.collecting import Collector
from evomerge.run.statistics.required import Required
from evomerge.statistics import Collection, Limits, Site

_TIMED = 3  # texts; the first warms up
_ITEM = 4  # bytes of a result's element


@dataclass(frozen=True)
class CollectionForecast:
    """Cost of collecting statistics.

    Attributes:
        bytes: Disk.
        passes: How often all texts of a model go through it, over all models.
        texts: How many texts go through a model, over all passes.
        seconds: Wall seconds of that.
    """

    bytes: int
    passes: int
    texts: int
    seconds: float


def most_bytes(required: Sequence[Required], reference: CheckpointSource) -> int:
    """The most disk that statistics take, from headers: as if no two tensors had the same input."""
    sites = [_site(name, spec) for name, spec in reference.specs.items() if name not in reference.aliases]
    total = 0
    for one in {one.key: one for one in required}.values():
        statistic = statistics.load(one.name)
        options = statistic.resolve(one.keyed.wanted.options)
        shapes = (statistic.shape(site, options) for site in sites)
        total += sum(_ITEM * math.prod(shape) for shape in shapes if shape is not None)
    return total


def forecast(collector: Collector, missing: Sequence[Required]) -> CollectionForecast:
    """Loads a model, sends a few texts through it, and reckons what all of them take; nothing is kept.

    Models are alike, so one is looked at for each set of statistics that is collected together.

    Args:
        collector: Collects them.
        missing: What is not there yet.

    Raises:
        InputError: If the model cannot be loaded, or a statistic not be collected.
    """
    found = CollectionForecast(0, 0, 0, 0.0)
    live = collector.load(missing[0].model)
    known: dict[tuple[str, ...], tuple[int, int, float]] = {}
    for own in _together(missing):
        names = tuple(one.name for one in own)
        if names not in known:
            wanted = {one.key: one.keyed.wanted for one in own}
            short = replace(own[0].calibration, passages=own[0].calibration.passages[:_TIMED])
            collection = Collection.of(live, short, wanted, Limits(collector.config.statistics.memory))
            known[names] = _measured(collection)
        size, passes, seconds = known[names]
        texts = passes * len(own[0].calibration.passages)
        found = CollectionForecast(
            found.bytes + size, found.passes + passes, found.texts + texts, found.seconds + texts * seconds
        )
    del live
    environment.give_back_memory()
    return found


def _measured(collection: Collection) -> tuple[int, int, float]:
    """Bytes of the results, passes, and seconds of one text in one pass."""
    times = [time.perf_counter()]
    size = 0
    for window in collection.windows(lambda _: times.append(time.perf_counter())):
        size += sum(array.nbytes for arrays in window.arrays.values() for array in arrays.values())
    each = [after - before for before, after in itertools.pairwise(times)]
    warm = each[1:] or each
    return size, len(collection.plan.passes), sum(warm) / len(warm)


def _together(required: Sequence[Required]) -> Iterator[list[Required]]:
    """The statistics that go through one model on the same texts together."""
    found: dict[tuple[str, str], dict[str, Required]] = {}
    for one in required:
        place = (str(one.keyed.about["model"]), one.calibration.digest)
        found.setdefault(place, {})[one.key] = one
    yield from (list(own.values()) for own in found.values())


def _site(name: str, spec: TensorSpec) -> Site:
    """A tensor as its name and shape show it."""
    shape = tuple(spec.shape)
    if len(shape) > 1 and (is_head(name) or not is_vocabulary(name)):
        return Site(name, shape, "linear", shape[-1], shape[0])
    if len(shape) == 1 and name.endswith("weight"):
        return Site(name, shape, "norm", shape[0], shape[0])
    return Site(name, shape, "embedding" if is_vocabulary(name) else "other")
