"""One of pymoo's algorithms as a searcher of whole batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evomerge.search.searchers._shared.generational import Generational, Parents
from evomerge.search.searchers._shared.protocol import Array, Problem, Selection
from evomerge.search.searchers._shared.pymoo_adapter import Pymoo

__all__ = ["PymooSearcher"]


class PymooSearcher(Generational):
    """One of pymoo's algorithms as a searcher of whole batches; arguments as of the algorithm behind it."""

    def __init__(self, name: str, problem: Problem, seed: int, algorithm: Any, paired: bool = False) -> None:
        super().__init__(name)
        self._pymoo = Pymoo(name, problem, seed, algorithm, paired)
        self._n_var = problem.n_var
        self._asked: Any = None

    def propose(self) -> tuple[Array, Parents]:
        """The next batch; empty when mating finds nothing but copies of the population."""
        population = self._pymoo.next()
        if population is None:
            return np.zeros((0, self._n_var)), ()
        self._asked = population
        return np.array(population.get("X"), dtype=np.float64), self._pymoo.lineage(population)

    def learn(self, ids: Sequence[str], F: Array, G: Array) -> None:
        """Evaluates the last batch with the values told and advances the algorithm."""
        population, self._asked = self._asked, None
        self._pymoo.advance(population, ids, F, G)

    def revise(self, ids: Sequence[str], F: Array, G: Array) -> None:
        """Gives members of the population corrected values, and ranks them anew."""
        self._pymoo.revise(ids, F, G)

    def selection(self) -> Selection:
        """Who is kept; see `Searcher.selection`."""
        return self._pymoo.selection()
