"""Turn-taking of searchers that propose whole batches and are told whole batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from evomerge.search.searchers._shared.protocol import Array, Observation, Proposal, Selection

__all__ = ["Generational", "Parents"]

Parents = Sequence[tuple[str, ...]]


class Generational(ABC):
    """Numbers proposals and brings observations into their order.

    A subclass sees arrays alone. It is told exactly the batch that it proposed last, and before it, where it overrides
    `revise`, corrected values of what it was told earlier.

    Attributes:
        name: Name of the searcher.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._asks = 0
        self._open: list[str] | None = None
        self._sizes: list[int] = []  # of the asks, so that an id of an earlier one is known from a stranger's

    @abstractmethod
    def propose(self) -> tuple[Array, Parents]:
        """The next batch ``(n, n_var)`` in [0, 1], and the ids of each genome's parents (empty: nobody has any)."""

    @abstractmethod
    def learn(self, ids: Sequence[str], F: Array, G: Array) -> None:
        """The last batch's ids, objectives ``(n, n_obj)`` and constraints ``(n, n_con)``."""

    def revise(self, ids: Sequence[str], F: Array, G: Array) -> None:
        """Corrected values of proposals told earlier; those no longer kept may be among them.

        Raises:
            RuntimeError: If the algorithm takes none, as here.
        """
        raise RuntimeError(f"{self.name} takes no corrected values, and was told again of {', '.join(ids)}")

    def selection(self) -> Selection:
        """Nobody is kept, and none of a batch is preferred; see `Searcher.selection`."""
        return Selection()

    def ask(self, n: int | None = None) -> list[Proposal]:
        """A whole batch, whatever ``n``; see `Searcher.ask`."""
        if self._open is not None:
            raise RuntimeError(f"{self.name}: ask was called twice; tell the values of the last batch first")
        genomes, parents = self.propose()
        self._asks += 1
        ids = [f"{self._asks}.{index}" for index in range(len(genomes))]
        self._open = ids or None
        self._sizes.append(len(ids))
        lineage = parents or [()] * len(genomes)
        return [Proposal(id, x, None, mine) for id, x, mine in zip(ids, genomes, lineage, strict=True)]

    def tell(self, observations: Sequence[Observation]) -> None:
        """All values of the last batch, and corrected ones of earlier batches; see `Searcher.tell`."""
        opened = self._open or []
        own: dict[str, Observation] = {}
        again: dict[str, Observation] = {}
        for one in observations:
            (own if one.id in opened else again)[one.id] = one
        distinct = len(own) + len(again) == len(observations)
        if not distinct or len(own) < len(opened) or not all(map(self._was_told, again)):
            ids = [observation.id for observation in observations]
            raise RuntimeError(
                f"{self.name} must be told each proposal of the last ask once: expected {opened or 'none'}, came {ids}"
            )
        if again:
            self.revise(list(again), *_columns(list(again.values())))
        if own:
            self._open = None
            self.learn(opened, *_columns([own[id] for id in opened]))

    def _was_told(self, id: str) -> bool:
        """Whether an id is that of a proposal of an earlier ask."""
        ask, _, index = id.partition(".")
        if not (ask.isdecimal() and index.isdecimal()) or not 1 <= int(ask) <= self._asks:
            return False
        return int(index) < self._sizes[int(ask) - 1] and id not in (self._open or ())


def _columns(observations: Sequence[Observation]) -> tuple[Array, Array]:
    F = np.array([one.F for one in observations], dtype=np.float64)
    return F, np.array([one.G for one in observations], dtype=np.float64).reshape(len(observations), -1)
