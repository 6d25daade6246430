"""Forecast of a transformation: disk, memory, passes and seconds, from headers and texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evomerge.checkpoints import stored_bytes
from evomerge.merging.footprint import export_bytes
from evomerge.run.statistics.of_model import Asked, LookedAt
from evomerge.run.statistics.told import forecast_text
from evomerge.sizes import amount
from evomerge.statistics import Machine
from evomerge.transforms import Transform, Work


@dataclass(frozen=True)
class TransformForecast:
    """Cost of a transformation, statistics included.

    Attributes:
        disk: Bytes of what is written.
        memory: Most bytes at one time, beside the program and files that are mapped.
        mapped: Bytes of those: models and statistics, whose pages the system takes back where memory is short.
        passes: How often texts go through a model, over all models.
        seconds: Seconds of the work.
        notes: Sentences about tensors whose statistic is another than one would expect.
    """

    disk: int
    memory: int
    mapped: int
    passes: int
    seconds: float
    notes: tuple[str, ...] = ()


def forecast(kind: Transform, work: Work, looked: Sequence[tuple[LookedAt, Asked]]) -> TransformForecast:
    """Predicts a transformation; nothing is loaded.

    Args:
        kind: The transformation.
        work: Its work, before anything is loaded.
        looked: Each expert, and its statistics that are read.
    """
    cost = kind.cost(work)
    found = [(one.forecast([asked]), one.size([asked])) for one, asked in looked]
    missing = [one for one, _ in found if one is not None]
    read = [*work.experts, *([] if work.base is None else [work.base])]
    return TransformForecast(
        disk=export_bytes(work.reference.specs) * (len(work.experts) if kind.several else 1)
        + sum(one.disk for one in missing),
        memory=max([cost.memory, *(one.memory for one in missing)]),
        mapped=sum(map(stored_bytes, read)) + sum(one.disk for one in missing) + sum(size for _, size in found),
        passes=cost.passes + sum(one.passes for one in missing),
        seconds=cost.operations / Machine.measured().operations + sum(one.seconds for one in missing),
        notes=tuple(dict.fromkeys(f"{name}: {text}" for one in missing for name, text in one.notes)),
    )


def forecast_lines(kind: Transform, work: Work, cost: TransformForecast) -> Iterator[str]:
    """Lines for people about what a transformation is going to take: the first, and one for each note."""
    limit = " at most, less where iterations converge" if kind.cost(work).at_most else ""
    yield (
        f"{kind.name} of {', '.join(work.labels)}: {forecast_text(cost)}{limit}; beside that {amount(cost.mapped)} of "
        "files are mapped"
    )
    yield from (f"  {note}" for note in cost.notes)
