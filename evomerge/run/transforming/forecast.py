"""Forecast of a transformation: disk, memory, passes and seconds, from headers and texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evomerge.merging.footprint import export_bytes
from evomerge.run.statistics.told import forecast_text
from evomerge.statistics import Forecast, Machine
from evomerge.transforms import Transform, Work


@dataclass(frozen=True)
class TransformForecast:
    """Cost of a transformation, statistics included.

    Attributes:
        disk: Bytes of what is written.
        memory: Most bytes at one time, beside the program.
        passes: How often texts go through a model, over all models.
        seconds: Seconds of the work.
    """

    disk: int
    memory: int
    passes: int
    seconds: float


def forecast_line(kind: Transform, work: Work, collected: Sequence[Forecast | None]) -> str:
    """A line for people about what a transformation is going to take.

    Args:
        kind: The transformation.
        work: Its work, before anything is loaded.
        collected: Of each expert what collecting its statistics takes; None where they are there.
    """
    cost, found = kind.cost(work), [one for one in collected if one is not None]
    written = export_bytes(work.reference.specs) * (len(work.experts) if kind.several else 1)
    total = TransformForecast(
        disk=written + sum(one.disk for one in found),
        memory=max([cost.memory, *(one.memory for one in found)]),
        passes=cost.passes + sum(one.passes for one in found),
        seconds=cost.operations / Machine.measured().operations + sum(one.seconds for one in found),
    )
    limit = " at most, less where iterations converge" if cost.at_most else ""
    return f"{kind.name} of {', '.join(work.labels)}: {forecast_text(total)}{limit}"
