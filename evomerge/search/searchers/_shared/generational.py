"""Turn-taking of searchers that propose whole batches and are told whole batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from evomerge.search.searchers._shared.protocol import Array, Observation, Proposal

__all__ = ["Generational", "Parents"]

Parents = Sequence[tuple[str, ...]]


class Generational(ABC):
    """Numbers proposals and brings observations into their order.

    A subclass sees arrays alone. It is told exactly the batch that it proposed last.

    Attributes:
        name: Name of the searcher.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._asks = 0
        self._open: list[str] | None = None

    @abstractmethod
    def propose(self) -> tuple[Array, Parents]:
        """The next batch ``(n, n_var)`` in [0, 1], and the ids of each genome's parents (empty: nobody has any)."""

    @abstractmethod
    def learn(self, ids: Sequence[str], F: Array, G: Array) -> None:
        """The last batch's ids, objectives ``(n, n_obj)`` and constraints ``(n, n_con)``."""

    def ask(self, n: int | None = None) -> list[Proposal]:
        """A whole batch, whatever ``n``; see `Searcher.ask`."""
        if self._open is not None:
            raise RuntimeError(f"{self.name}: ask was called twice; tell the values of the last batch first")
        genomes, parents = self.propose()
        self._asks += 1
        ids = [f"{self._asks}.{index}" for index in range(len(genomes))]
        self._open = ids or None
        lineage = parents or [()] * len(genomes)
        return [Proposal(id, x, None, mine) for id, x, mine in zip(ids, genomes, lineage, strict=True)]

    def tell(self, observations: Sequence[Observation]) -> None:
        """All values of the last batch; see `Searcher.tell`."""
        if self._open is None:
            if not observations:
                return  # of an empty batch
            raise RuntimeError(f"{self.name}: tell was called without an ask")
        told = {observation.id: observation for observation in observations}
        if len(observations) != len(self._open) or told.keys() != set(self._open):
            ids = [observation.id for observation in observations]
            raise RuntimeError(
                f"{self.name} must be told each proposal of the last ask once: expected {self._open}, came {ids}"
            )
        ids, self._open = self._open, None
        rows = [told[id] for id in ids]
        self.learn(ids, np.array([row.F for row in rows], dtype=np.float64), _matrix([row.G for row in rows]))


def _matrix(rows: Sequence[Array]) -> Array:
    return np.array(rows, dtype=np.float64).reshape(len(rows), -1)
