"""Differential evolution in generations or in a steady state, with the operators of pymoo."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from evomerge.search.searchers._shared.generational import Parents
from evomerge.search.searchers._shared.initial_population import generator
from evomerge.search.searchers._shared.protocol import Array, Problem, Proposal, Selection
from evomerge.search.searchers._shared.pymoo_adapter import PARENTS, PROPOSAL, Pymoo, individuals
from evomerge.search.searchers._shared.steady import Steady

__all__ = ["SteadyDifferential"]

_MATING = 4  # a target and the three members whose difference it gets
_PLACE = "index"  # of the target, as pymoo calls it


class SteadyDifferential(Steady):
    """Members have places; a trial is made for each in turn, and takes its target's place if it is better.

    Asked and told in whole batches it is the algorithm of the paper. Asked for one and told one it is its asynchronous
    form (Milani & Santucci 2010, doi:10.1109/CEC.2010.5586107): a trial is made of whoever is a member then,
    and is compared with whoever has its target's place when it is told. Where more is wanted than the initial
    population before four of it were told, genomes are drawn uniformly, each for a place.

    Args:
        name: The searcher's name; its random numbers follow from it and the seed.
        problem: What it is made for.
        seed: Root of its random numbers.
        algorithm: pymoo's, not set up.
    """

    def __init__(self, name: str, problem: Problem, seed: int, algorithm: Any) -> None:
        super().__init__(name)
        self._pymoo = Pymoo(name, problem, seed, algorithm, paired=True)
        self._size = int(algorithm.pop_size)
        self._n_var = problem.n_var
        self._random = generator(seed, f"{name} beyond the initial population")
        self._first: list[Any] | None = None  # what is left of the initial population; None before the first ask
        self._early: dict[int, Any] = {}  # place to member, as long as not all places are taken
        self._turn = 0  # the next target's place
        self._waiting: dict[str, Any] = {}  # id to individual
        self._asked: list[Any] = []

    def ask(self, n: int | None = None) -> list[Proposal]:
        """As many as are wanted; see `Searcher.ask`."""
        proposals = super().ask(n)
        self._waiting.update({one.id: individual for one, individual in zip(proposals, self._asked, strict=True)})
        return proposals

    def propose(self, n: int | None) -> tuple[Array, Parents]:
        """The rest of the initial population, then trials."""
        if self._first is None:
            self._first = list(self._pymoo.next())
            for place, individual in enumerate(self._first):
                individual.set(_PLACE, place)
        wanted = n if n is not None else len(self._first) or self._size
        self._asked, self._first = self._first[:wanted], self._first[wanted:]
        while len(self._asked) < wanted:
            self._asked += self._trials(wanted - len(self._asked))
        parents = [individual.get(PARENTS) or () for individual in self._asked]
        return np.array([individual.X for individual in self._asked], dtype=np.float64), parents

    def _trials(self, count: int) -> list[Any]:
        members = self._members()
        if len(members) < _MATING:
            found = individuals(self._random.random((count, self._n_var)))
            places = [self._next(range(self._size)) for _ in found]
        else:
            places = [self._next(members) for _ in range(min(count, len(members)))]
            others = [place for place in members if place not in places]
            found = self._pymoo.mate([members[place] for place in [*places, *others]], len(places))
            for place, trial in zip(places, found, strict=True):
                trial.set(PARENTS, (members[place].get(PROPOSAL),))
        for place, individual in zip(places, found, strict=True):
            individual.set(_PLACE, place)
        return found

    def _next(self, places: Any) -> int:
        """The place whose turn it is, of some."""
        while self._turn not in places:
            self._turn = (self._turn + 1) % self._size
        place, self._turn = self._turn, (self._turn + 1) % self._size
        return place

    def _members(self) -> dict[int, Any]:
        """Place to member, in the order of the places."""
        return dict(enumerate(self._pymoo.members())) or dict(sorted(self._early.items()))

    def learn(self, ids: Sequence[str], F: Array, G: Array) -> None:
        """Each takes its place if that is free, or if it is better than who has it."""
        told = [self._waiting.pop(id) for id in ids]
        self._pymoo.evaluate(told, ids, F, G)
        if not self._pymoo.algorithm.is_initialized:
            told = self._seated(told)
        for group in _apart(told):
            self._pymoo.tell(group)

    def _seated(self, told: list[Any]) -> list[Any]:
        """Seats individuals until all places are taken, when the algorithm begins; those that are left."""
        for number, individual in enumerate(told):
            before = self._early.get(individual.get(_PLACE))
            if before is None or self._pymoo.better(individual, before):
                self._early[individual.get(_PLACE)] = individual
            if len(self._early) == self._size:
                self._pymoo.tell(list(self._members().values()))
                self._early.clear()
                return told[number + 1 :]
        return []

    def revise(self, ids: Sequence[str], F: Array, G: Array) -> None:
        """Gives members corrected values, and ranks them anew."""
        if self._pymoo.algorithm.is_initialized:
            self._pymoo.revise(ids, F, G)
        else:
            self._pymoo.correct(list(self._early.values()), ids, F, G)

    def selection(self) -> Selection:
        """Who is kept; see `Searcher.selection`."""
        return self._pymoo.selection()


def _apart(told: Sequence[Any]) -> Iterator[list[Any]]:
    """The same in groups in which no two are for one place, in their order."""
    group: list[Any] = []
    for individual in told:
        if individual.get(_PLACE) in {other.get(_PLACE) for other in group}:
            yield group
            group = []
        group.append(individual)
    if group:
        yield group
