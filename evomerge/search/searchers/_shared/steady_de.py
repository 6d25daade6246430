"""Differential evolution in generations or in a steady state, with the operators of pymoo."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from evomerge.search.searchers._shared.protocol import Array, Problem
from evomerge.search.searchers._shared.pymoo_adapter import PROPOSAL, Pymoo, individuals
from evomerge.search.searchers._shared.steady_individuals import PARENTS, SteadyIndividuals

__all__ = ["SteadyDifferential"]

_MATING = 4  # a target and the three members whose difference it gets
_PLACE = "index"  # of the target, as pymoo calls it


class SteadyDifferential(SteadyIndividuals):
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
        super().__init__(name, Pymoo(name, problem, seed, algorithm, paired=True), problem, seed)
        self._size = int(algorithm.pop_size)
        self._early: dict[int, Any] = {}  # place to member, as long as not all places are taken
        self._turn = 0  # the next target's place

    def begin(self, initial: list[Any]) -> None:
        """Gives each of the initial population its place."""
        for place, individual in enumerate(initial):
            individual.set(_PLACE, place)

    def further(self, count: int) -> list[Any]:
        """Trials for the places whose turn it is."""
        found = list[Any]()
        while len(found) < count:
            found += self._trials(count - len(found))
        return found

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
