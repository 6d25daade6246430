"""Searchers that fit a model to what they were told and propose where it promises most; whose model is a subclass's."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis.pareto import layers
from evomerge.options import Option
from evomerge.search.searchers._shared.initial_population import generator, initial_population
from evomerge.search.searchers._shared.protocol import Array, Problem, Proposal, Selection
from evomerge.search.searchers._shared.spec import SMALLEST_POPULATION, SearcherSettings
from evomerge.search.searchers._shared.steady import Steady
from evomerge.search.searchers._shared.turns import Parents

__all__ = ["POPULATION", "STARTUP", "Known", "Modelled", "memory"]

POPULATION = 8  # a model learns after every batch: half of what the others have
STARTUP = Option(
    16, None, int, "candidates before the model: the starts and a Latin hypercube", SMALLEST_POPULATION, 10000
)


def memory(default: int) -> Option:
    """The option of how much the model sees."""
    return Option(default, None, int, "candidates that the model is fitted to: the best half and the latest", 10, 10000)


@dataclass(frozen=True, eq=False)
class Known:
    """Candidates that a model is fitted to.

    Attributes:
        X: Genomes, ``(n, n_var)``, in the order in which they were told.
        F: Objectives, ``(n, n_obj)``.
        violation: The largest constraint of each that is not 0, met where less, ``(n,)``; None where all meet all.
        waiting: Genomes of the proposals whose values are not known yet, ``(k, n_var)``.
    """

    X: Array
    F: Array
    violation: Array | None
    waiting: Array


class Modelled(Steady):
    """Proposes the initial population, then what a model of all that it was told promises most of.

    The model knows of the proposals that wait for their values, so it may be asked for many at once and told in any
    order. Where more is wanted than the initial population before any of it was told, genomes are drawn uniformly.
    Beyond its memory it is fitted to the better half of that and to the latest (ours): the cost of a proposal stays
    what it is then.

    Args:
        name: The searcher's name.
        problem: What it is made for.
        settings: Complete settings, with the options ``startup`` and ``memory``.
    """

    def __init__(self, name: str, problem: Problem, settings: SearcherSettings) -> None:
        super().__init__(name)
        assert settings.population is not None
        self._population = settings.population
        self._memory = int(settings.options["memory"])
        size = max(self._population, int(settings.options["startup"]))
        self._first = initial_population(problem, replace(settings, population=size))
        self._n_var, self._n_obj = problem.n_var, problem.n_obj
        self._random = generator(settings.seed, f"{name} beyond the initial population")
        self._genomes: dict[str, Array] = {}
        self._values: dict[str, tuple[Array, float]] = {}  # objectives and largest constraint, as they were told

    @abstractmethod
    def promising(self, known: Known, count: int) -> Array:
        """Genomes that the model promises most of, ``(count, n_var)`` in [0, 1]."""

    def ask(self, n: int | None = None) -> list[Proposal]:
        """As many as are wanted; see `Searcher.ask`."""
        proposals = super().ask(n)
        self._genomes.update({one.id: one.x for one in proposals if one.x is not None})
        return proposals

    def propose(self, n: int | None) -> tuple[Array, Parents]:
        """The rest of the initial population, then what the model promises most of; nobody has parents."""
        wanted = n if n is not None else len(self._first) or self._population
        taken, self._first = self._first[:wanted], self._first[wanted:]
        more = wanted - len(taken)
        if not more:
            return taken, ()
        drawn = self.promising(self._known(), more) if self._values else self._random.random((more, self._n_var))
        return np.concatenate([taken, np.clip(drawn, 0.0, 1.0)]), ()

    def learn(self, ids: Sequence[str], F: Array, G: Array) -> None:
        """Takes their values."""
        # A constraint of exactly 0 says nothing, as that of all that could be scored: how well others are met, does.
        largest = np.where(G != 0.0, G, -np.inf).max(axis=1, initial=-np.inf)
        largest = np.where(np.isfinite(largest), largest, 0.0)
        for id, values, violation in zip(ids, F, largest.tolist(), strict=True):
            self._values[id] = values, violation

    def revise(self, ids: Sequence[str], F: Array, G: Array) -> None:
        """Takes their values instead of the earlier ones."""
        self.learn(ids, F, G)

    def selection(self) -> Selection:
        """The best are kept; a population of these and of the proposals is what the model learns most from."""
        ids = list(self._values)
        kept = tuple(ids[row] for row in self._best(self._population))
        return Selection(kept, min(self._population, len(kept) + len(self._turns.waiting)))

    def _best(self, count: int) -> list[int]:
        """Rows of the best, feasible before infeasible, then by layers of the front, then by the largest constraint."""
        if not self._values:
            return []
        F, violation = self._columns()
        feasible = np.flatnonzero(violation <= 0.0)
        order: list[int] = []
        if self._n_obj == 1:
            order = feasible[np.argsort(F[feasible, 0], kind="stable")].tolist()
        elif len(feasible):
            order = [int(feasible[row]) for layer in layers(F[feasible], count) for row in layer]
        missed = np.flatnonzero(violation > 0.0)
        order += missed[np.argsort(violation[missed], kind="stable")].tolist()
        return order[:count]

    def _known(self) -> Known:
        """Candidates that the model is fitted to now."""
        F, violation = self._columns()
        rows: NDArray[np.intp] = np.arange(len(F))
        if len(F) > self._memory:
            best = self._best(self._memory // 2)
            latest = [row for row in rows[::-1].tolist() if row not in set(best)][: self._memory - len(best)]
            rows = np.sort(np.array([*best, *latest]))
        ids = list(self._values)
        X = np.array([self._genomes[ids[row]] for row in rows])
        waiting = np.array([self._genomes[id] for id in self._turns.waiting]).reshape(-1, self._n_var)
        limit = violation[rows]
        return Known(X, F[rows], limit if (limit > 0.0).any() else None, waiting)

    def _columns(self) -> tuple[Array, Array]:
        """Objectives ``(n, n_obj)`` and largest constraints ``(n,)`` of all that was told."""
        F = np.array([values for values, _ in self._values.values()])
        return F, np.array([violation for _, violation in self._values.values()])
