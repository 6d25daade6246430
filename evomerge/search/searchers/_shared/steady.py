"""Turn-taking of searchers that may be asked for more at any time and are told in pieces, in any order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from evomerge.search.searchers._shared.protocol import Array, Observation, Proposal
from evomerge.search.searchers._shared.turns import Parents, Turns, columns

__all__ = ["Steady"]


class Steady(ABC):
    """Numbers proposals and sorts observations; a subclass sees arrays alone.

    Asked for whole batches and told whole batches it is a generational algorithm; asked for one and told one, a steady
    state. It is a function of the order of both.

    Attributes:
        name: Name of the searcher.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._turns = Turns()

    @abstractmethod
    def propose(self, n: int | None) -> tuple[Array, Parents]:
        """The next ``n`` genomes ``(n, n_var)`` in [0, 1], and the ids of each one's parents (empty: nobody has any).

        None is a batch of the algorithm's own size. Fewer where nothing else is new.
        """

    @abstractmethod
    def learn(self, ids: Sequence[str], F: Array, G: Array) -> None:
        """Values of some of the proposals that wait for theirs, in the order in which they were made."""

    @abstractmethod
    def revise(self, ids: Sequence[str], F: Array, G: Array) -> None:
        """Corrected values of proposals told earlier; those no longer kept may be among them."""

    def ask(self, n: int | None = None) -> list[Proposal]:
        """As many as are wanted; see `Searcher.ask`."""
        return self._turns.numbered(*self.propose(n))

    def tell(self, observations: Sequence[Observation]) -> None:
        """Values of any proposals, and corrected ones; see `Searcher.tell`."""
        own, again, sound = self._turns.parted(observations)
        if not sound:
            ids = [observation.id for observation in observations]
            raise RuntimeError(f"{self.name} must be told what it has proposed, each proposal once: came {ids}")
        if again:
            self.revise(list(again), *columns(list(again.values())))
        if own:
            self._turns.told(list(own))
            self.learn(list(own), *columns(list(own.values())))
