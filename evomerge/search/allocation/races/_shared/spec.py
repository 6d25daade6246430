"""The declaration of a race."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis.allocation.racing import Part
from evomerge.options import Option, problems, with_defaults

__all__ = ["IN", "OPEN", "OUT", "Fates", "RaceSpec", "Standing", "pairs"]

OPEN, IN, OUT = 0, 1, -1

Fates = NDArray[np.int_]


@dataclass(frozen=True, eq=False)
class Standing:
    """Candidates of a batch whose fate is open, after a rung: all have answered the same items.

    Attributes:
        objectives: The parts of each objective, less being better, of these candidates.
        places: For how many of them there is a place.
        rivals: Row of the one candidate that each is compared with; None where all compete.
        looks: How many decisions there are in a batch, this one among them.
    """

    objectives: Sequence[Sequence[Part]]
    places: int
    rivals: NDArray[np.int_] | None
    looks: int

    @property
    def candidates(self) -> int:
        """How many there are."""
        return len(self.objectives[0][0].values)

    @property
    def scores(self) -> NDArray[np.float64]:
        """Objectives to minimise, ``(n, m)``."""
        return np.stack([np.sum([part.means for part in parts], axis=0) for parts in self.objectives], axis=1)


Decide = Callable[[Standing, Mapping[str, Any], np.random.Generator], Fates]


@dataclass(frozen=True)
class RaceSpec:
    """One race, as its file declares it.

    Attributes:
        name: Its file's name.
        title: What it does, one line, with its source.
        decide: The fate of each candidate after a rung, ``(n,)``: :data:`OPEN` is asked the items of the next one,
            :data:`IN` and :data:`OUT` no more. None where there are no rungs.
        options: Name to declaration.
    """

    name: str
    title: str
    decide: Decide | None
    options: Mapping[str, Option] = field(default_factory=dict)

    def problems(self, given: Mapping[str, Any]) -> list[str]:
        """Problems of options, one sentence each."""
        return problems(f"race {self.name}", self.options, given)

    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options with every default filled in."""
        return with_defaults(self.options, given)


def pairs(rivals: NDArray[np.int_]) -> NDArray[np.int_]:
    """The pairs of rivals, ``(k, 2)``."""
    rows = np.flatnonzero(rivals >= 0)
    return np.unique(np.sort(np.stack([rows, rivals[rows]], axis=1), axis=1), axis=0)
