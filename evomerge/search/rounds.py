"""Rounds of a search: what was best in those so far is merged in the next one, so the search leaves the experts' hull.

EvoGM (arXiv:2605.29295) lets elite merges serve as the experts of its next round. How many candidates a round has,
which elites are taken, and that they are recipes whose records go on in the same run, is ours. A round has a number of
candidates that belongs to the run's identity, but the last one, which takes what the budget leaves: so a larger budget
later goes on as if it had been there from the start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.genome import GenomeSpec
from evomerge.recipe import Recipe
from evomerge.search.searchers import Observation, Proposal, Searcher, SearcherFactory, Selection
from evomerge.settings import as_json, setting

__all__ = ["Continued", "NextSpace", "RoundSettings", "Space"]

MOST = 5  # rounds: a recipe of the fifth has elites inside elites inside elites inside elites


@dataclass(frozen=True)
class RoundSettings:
    """The rounds of a search.

    Attributes:
        count: How many; 1 is a search of the experts alone.
        elites: At most so many recipes of all rounds so far are the models of the next one.
        experts: Whether the experts are among the models of later rounds, too.
        evaluations: Candidates of each round but the last, which takes what the budget leaves; None, only before a run
            has begun, for equal shares of the budget.
    """

    count: int = field(
        default=1,
        metadata=setting(
            "the best merges of one round are the models of the next, so many rounds", key="rounds", low=1, high=MOST
        ),
    )
    elites: int = field(
        default=4, metadata=setting("how many merges are the models of the next round, at most", low=1, high=16)
    )
    experts: bool = field(default=False, metadata=setting("the experts are models of later rounds, too"))
    evaluations: int | None = field(
        default=None,
        metadata=setting("candidates of each round but the last; null: equal shares of the budget", low=1),
    )

    def to_json(self) -> dict[str, Any]:
        """The settings as a JSON object, for a run's identity."""
        return dict(as_json(self))


@dataclass(frozen=True, eq=False)
class Space:
    """What one round searches.

    Attributes:
        genome: The search space.
        searcher: Makes the searcher.
        starts: Genomes of the initial population, ``(k, n_var)``.
    """

    genome: GenomeSpec
    searcher: SearcherFactory
    starts: NDArray[np.float64]


NextSpace = Callable[[int, Sequence[Recipe]], Space]
"""The space of a round, from its number, 2 or more, and the elites that it merges, the best first."""


class Continued:
    """The searcher of a later round: its proposals have names that no earlier round's have.

    Args:
        searcher: The searcher.
        number: The round's number, which begins the names: ``2:1.0``.
    """

    def __init__(self, searcher: Searcher, number: int) -> None:
        self._searcher = searcher
        self._prefix = f"{number}:"

    def ask(self, n: int | None = None) -> list[Proposal]:
        """The next proposals; see `Searcher.ask`."""
        return [
            replace(one, id=self._named(one.id), parents=tuple(map(self._named, one.parents)))
            for one in self._searcher.ask(n)
        ]

    def tell(self, observations: Sequence[Observation]) -> None:
        """Takes values; see `Searcher.tell`."""
        self._searcher.tell([replace(one, id=one.id.removeprefix(self._prefix)) for one in observations])

    def selection(self) -> Selection:
        """Whom the searcher keeps; see `Searcher.selection`."""
        found = self._searcher.selection()
        return replace(found, kept=tuple(map(self._named, found.kept)))

    def _named(self, id: str) -> str:
        return self._prefix + id
