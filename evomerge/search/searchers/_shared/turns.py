"""The proposals of a searcher by number: which were made, which have been told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evomerge.recipe import Recipe
from evomerge.search.searchers._shared.protocol import Array, Observation, Proposal

__all__ = ["Parents", "Turns", "columns"]

Parents = Sequence[tuple[str, ...]]


class Turns:
    """Numbers proposals, and tells those that wait for their values from those that have had them.

    Attributes:
        waiting: Ids of the proposals that have not been told, in the order in which they were made.
    """

    def __init__(self) -> None:
        self.waiting: dict[str, None] = {}
        self._sizes: list[int] = []  # of the asks, so that an id of an earlier one is known from a stranger's

    def numbered(self, proposed: Array | Sequence[Recipe], parents: Parents) -> list[Proposal]:
        """The proposals of the next ask.

        Args:
            proposed: Genomes ``(n, n_var)`` in [0, 1], or recipes.
            parents: The ids of each one's parents; empty: nobody has any.
        """
        self._sizes.append(len(proposed))
        ids = [f"{len(self._sizes)}.{index}" for index in range(len(proposed))]
        self.waiting.update(dict.fromkeys(ids))
        lineage = parents or [()] * len(proposed)
        return [
            Proposal(id, None, one, mine) if isinstance(one, Recipe) else Proposal(id, one, None, mine)
            for id, one, mine in zip(ids, proposed, lineage, strict=True)
        ]

    def parted(
        self, observations: Sequence[Observation]
    ) -> tuple[dict[str, Observation], dict[str, Observation], bool]:
        """Divides observations.

        Returns:
            Those of waiting proposals in the order of the asks, those of proposals told earlier, and whether there is
            nothing else among them: no stranger, and nobody twice.
        """
        own = {one.id: one for one in observations if one.id in self.waiting}
        again = {one.id: one for one in observations if one.id not in self.waiting}
        sound = len(own) + len(again) == len(observations) and all(map(self._was_made, again))
        return {id: own[id] for id in self.waiting if id in own}, again, sound

    def told(self, ids: Sequence[str]) -> None:
        """Takes note that proposals have had their values."""
        for id in ids:
            del self.waiting[id]

    def _was_made(self, id: str) -> bool:
        ask, _, index = id.partition(".")
        if not (ask.isdecimal() and index.isdecimal()) or not 1 <= int(ask) <= len(self._sizes):
            return False
        return int(index) < self._sizes[int(ask) - 1]


def columns(observations: Sequence[Observation]) -> tuple[Array, Array]:
    """``F`` ``(n, n_obj)`` and ``G`` ``(n, n_con)`` of observations."""
    F = np.array([one.F for one in observations], dtype=np.float64)
    return F, np.array([one.G for one in observations], dtype=np.float64).reshape(len(observations), -1)
