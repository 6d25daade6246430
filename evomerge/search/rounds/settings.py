"""The settings of rounds, and what each of them searches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.genome import GenomeSpec
from evomerge.recipe import Recipe
from evomerge.search.searchers import SearcherFactory
from evomerge.settings import setting

__all__ = ["MERGE", "NOISE", "NextSpace", "RoundSettings", "Space"]

MERGE, NOISE = "merge", "noise"
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
        last: The last round: ``merge`` is like the others, ``noise`` adds low-rank noise to the best so far.
        noise: Options of the step `noise` there.
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

    last: str = field(
        default=MERGE,
        metadata=setting("the last round: noise adds low-rank noise to the best merge so far", choices=(MERGE, NOISE)),
    )
    noise: Mapping[str, Any] = field(
        default_factory=dict,
        metadata=setting("options of the step noise in the last round: {directions: 16, rank: 1, size: 0.1}"),
    )

    def is_noise(self, number: int) -> bool:
        """Whether a round adds noise to one recipe."""
        return self.last == NOISE and 1 < number == self.count

    def wanted(self, number: int) -> int:
        """How many elites a round takes at most."""
        return 1 if self.is_noise(number) else self.elites

    def to_json(self) -> dict[str, Any]:
        """The settings as a JSON object, for a run's identity."""
        found = asdict(self) | {"noise": dict(self.noise)}
        return {name: found[name] for name in found if self.last == NOISE or name not in ("last", "noise")}


@dataclass(frozen=True, eq=False)
class Space:
    """The space of one round, and how it is searched.

    Attributes:
        genome: The search space.
        searcher: Makes the searcher.
        starts: Genomes of the initial population, ``(k, n_var)``.
        alone: The genomes at which the merge is nearly one of the elites, by its place among them, where there are any.
    """

    genome: GenomeSpec
    searcher: SearcherFactory
    starts: NDArray[np.float64]
    alone: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)


NextSpace = Callable[[int, Sequence[Recipe]], Space]
"""The space of a round, from its number, 2 or more, and the elites that it merges, the best first."""
