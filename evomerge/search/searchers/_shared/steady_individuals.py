"""Individuals of one of pymoo's algorithms that are asked for in pieces, the initial population first."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from evomerge.search.searchers._shared.generational import Parents
from evomerge.search.searchers._shared.initial_population import generator
from evomerge.search.searchers._shared.protocol import Array, Problem, Proposal, Selection
from evomerge.search.searchers._shared.steady import Steady

__all__ = ["PARENTS", "SteadyIndividuals"]

PARENTS = "parents"  # of an individual, beyond pymoo's own data


class SteadyIndividuals(Steady):
    """Keeps who waits for values; a subclass makes individuals and takes their values.

    Args:
        name: The searcher's name; its random numbers follow from it and the seed.
        pymoo: The algorithm.
        problem: What it is made for.
        seed: Root of its random numbers.
    """

    def __init__(self, name: str, pymoo: Any, problem: Problem, seed: int) -> None:
        super().__init__(name)
        self._pymoo = pymoo
        self._n_var = problem.n_var
        self._random = generator(seed, f"{name} beyond the initial population")
        self._first: list[Any] | None = None  # what is left of the initial population; None before the first ask
        self._waiting: dict[str, Any] = {}  # id to individual
        self._asked: list[Any] = []

    @abstractmethod
    def further(self, count: int) -> list[Any]:
        """Individuals beyond the initial population; fewer where nothing else is new."""

    def begin(self, initial: list[Any]) -> None:
        """Sees the initial population once, before any of it is asked."""

    def ask(self, n: int | None = None) -> list[Proposal]:
        """As many as are wanted; see `Searcher.ask`."""
        proposals = super().ask(n)
        self._waiting.update({one.id: individual for one, individual in zip(proposals, self._asked, strict=True)})
        return proposals

    def propose(self, n: int | None) -> tuple[Array, Parents]:
        """The rest of the initial population, then further individuals."""
        if self._first is None:
            self._first = list(self._pymoo.next())
            self.begin(self._first)
        wanted = n if n is not None else len(self._first) or self._pymoo.algorithm.pop_size
        self._asked, self._first = self._first[:wanted], self._first[wanted:]
        if wanted > len(self._asked):
            self._asked += self.further(wanted - len(self._asked))
        X = np.array([individual.X for individual in self._asked], dtype=np.float64)
        return X.reshape(len(self._asked), self._n_var), [one.get(PARENTS) or () for one in self._asked]

    def selection(self) -> Selection:
        """Who is kept; see `Searcher.selection`."""
        selection: Selection = self._pymoo.selection()
        return selection
