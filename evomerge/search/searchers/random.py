"""Random search: the baseline that every algorithm has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evomerge.search.searchers._shared.initial_population import generator, initial_population
from evomerge.search.searchers._shared.protocol import Array, Observation, Problem, Proposal, Searcher, Selection
from evomerge.search.searchers._shared.spec import ANY, SearcherSettings, SearcherSpec

__all__ = ["SEARCHER", "RandomSearch"]


class RandomSearch:
    """Proposes the initial population, then uniform genomes: one stream, however it is cut into asks.

    Args:
        first: The initial population, ``(n, n_var)``.
        population: Genomes per ask without a number.
        random: Its random numbers.
    """

    name = "random"

    def __init__(self, first: Array, population: int, random: np.random.Generator) -> None:
        self._left = first
        self._population = population
        self._random = random
        self._asks = 0
        self._waiting: set[str] = set()

    def ask(self, n: int | None = None) -> list[Proposal]:
        """The next ``n`` of the stream; see `Searcher.ask`."""
        wanted = n if n is not None else len(self._left) or self._population
        taken, self._left = self._left[:wanted], self._left[wanted:]
        genomes = np.concatenate([taken, self._random.random((wanted - len(taken), taken.shape[1]))])
        self._asks += 1
        proposals = [Proposal(f"{self._asks}.{index}", x) for index, x in enumerate(genomes)]
        self._waiting.update(proposal.id for proposal in proposals)
        return proposals

    def tell(self, observations: Sequence[Observation]) -> None:
        """Learns nothing; refuses values of what it did not propose, or was told before."""
        ids = [observation.id for observation in observations]
        if len(set(ids)) < len(ids) or not self._waiting.issuperset(ids):
            raise RuntimeError(f"{self.name} must be told what it has proposed, each proposal once: came {ids}")
        self._waiting.difference_update(ids)

    def selection(self) -> Selection:
        """Nobody is kept, and none is preferred; see `Searcher.selection`."""
        return Selection()


def make(problem: Problem, settings: SearcherSettings) -> Searcher:
    """Makes the searcher."""
    first = initial_population(problem, settings)
    return RandomSearch(first, settings.population or len(first), generator(settings.seed, RandomSearch.name))


SEARCHER = SearcherSpec(
    name="random",
    title="Uniform random search after a Latin hypercube",
    objectives=ANY,
    constraints="none",
    handling="it learns from no values",
    make=make,
    partial=True,
)
