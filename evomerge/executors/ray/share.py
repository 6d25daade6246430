"""The share of a node that each worker gets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Share"]


@dataclass(frozen=True)
class Share:
    """The amounts that Ray sets aside for one worker.

    Attributes:
        cpus: CPUs, 0 or more.
        gpus: GPUs; below 1, several workers have one in common.
        memory: Bytes, or None.
    """

    cpus: float
    gpus: float = 0.0
    memory: int | None = None

    @property
    def wanted(self) -> dict[str, float]:
        """Ray's name of a resource to its amount, of those that a worker needs."""
        amounts = {"CPU": self.cpus, "GPU": self.gpus, "memory": float(self.memory or 0)}
        return {name: amount for name, amount in amounts.items() if amount}

    @property
    def options(self) -> dict[str, Any]:
        """The same as options of an actor."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus} | ({"memory": self.memory} if self.memory else {})

    def fits(self, nodes: Iterable[Mapping[str, float]]) -> int:
        """How many workers the nodes have room for when nothing else runs there.

        Args:
            nodes: Of each node the amount of each resource.
        """
        return sum(
            min(math.floor(node.get(name, 0.0) / amount + 1e-6) for name, amount in self.wanted.items())
            for node in nodes
        )

    def __str__(self) -> str:
        names = {"CPU": "CPU", "GPU": "GPU", "memory": "bytes of memory"}
        return " and ".join(f"{amount:g} {names[name]}" for name, amount in self.wanted.items())
