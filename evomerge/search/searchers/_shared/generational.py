"""Turn-taking of searchers that propose whole batches and are told whole batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from evomerge.recipe import Recipe
from evomerge.search.searchers._shared.protocol import Array, Observation, Proposal, Selection
from evomerge.search.searchers._shared.turns import Parents, Turns, columns

__all__ = ["Generational", "Parents"]


class Generational(ABC):
    """Numbers proposals and brings observations into their order.

    A subclass sees arrays alone. It is told exactly the batch that it proposed last, and before it, where it overrides
    `revise`, corrected values of what it was told earlier.

    Attributes:
        name: Name of the searcher.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._turns = Turns()

    @abstractmethod
    def propose(self) -> tuple[Array | Sequence[Recipe], Parents]:
        """The next batch, and the ids of each one's parents (empty: nobody has any).

        Genomes ``(n, n_var)`` in [0, 1]; of a searcher that chooses among models, recipes.
        """

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
        if self._turns.waiting:
            raise RuntimeError(f"{self.name}: ask was called twice; tell the values of the last batch first")
        return self._turns.numbered(*self.propose())

    def tell(self, observations: Sequence[Observation]) -> None:
        """All values of the last batch, and corrected ones of earlier batches; see `Searcher.tell`."""
        own, again, sound = self._turns.parted(observations)
        if not sound or len(own) < len(self._turns.waiting):
            ids = [observation.id for observation in observations]
            expected = list(self._turns.waiting) or "none"
            raise RuntimeError(
                f"{self.name} must be told each proposal of the last ask once: expected {expected}, came {ids}"
            )
        if again:
            self.revise(list(again), *columns(list(again.values())))
        if own:
            self._turns.told(list(own))
            self.learn(list(own), *columns(list(own.values())))
