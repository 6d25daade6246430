"""Words for what is going to be collected."""

from __future__ import annotations

from typing import Protocol

from evomerge.sizes import amount, span


class Cost(Protocol):
    """Cost of a collection: of one model, or of several one after the other."""

    @property
    def disk(self) -> int:
        """Bytes of its files."""

    @property
    def memory(self) -> int:
        """Most bytes at one time, beside the program."""

    @property
    def passes(self) -> int:
        """Passes over the texts."""

    @property
    def seconds(self) -> float:
        """Seconds of them."""


def forecast_text(cost: Cost) -> str:
    """Disk, memory, passes and seconds, in words."""
    return (
        f"{amount(cost.disk)} of disk, {amount(cost.memory)} of memory, {cost.passes} "
        f"{'pass' if cost.passes == 1 else 'passes'}, about {span(cost.seconds)}"
    )
