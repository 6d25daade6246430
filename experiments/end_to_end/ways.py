"""The ways to spend a budget of answered items that are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

BUDGET = 12_000  # answered items, whatever they are asked for


@dataclass(frozen=True)
class Way:
    """One way to spend the budget.

    Attributes:
        name: In records and tables.
        about: One line for people.
        items: Items of each exam that are drawn once for all candidates, of whose scores the best is returned and
            claimed, as mergekit-evolve does; None for a search by evomerge.
        settings: What is set of such a search.
        times: How many budgets it may spend.
    """

    name: str
    about: str
    items: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    times: int = 1

    @property
    def budget(self) -> int:
        """Items that it may spend."""
        return self.times * BUDGET


WAYS = (
    Way("peers", "the peers' practice: 20 items of each exam drawn once, best observed value", items=20),
    Way("peers, 5 times the items", "the same with 100 items of each exam", items=100, times=5),
    Way("all", "all items of the pool for every candidate", settings={"fitness": "all"}),
    Way("rotating", "20 items, other ones in every batch", settings={"fitness": "rotating"}),
    Way("informative", "20 items and more, those that tell candidates apart", settings={"fitness": "informative"}),
    Way(
        "rotating, smaller steps",
        "the same with the first standard deviation of the peers' practice",
        settings={"fitness": "rotating", "searcher.options.sigma": 0.11},
    ),
    Way("all, 5 times the items", "the same with five times the budget", settings={"fitness": "all"}, times=5),
    Way("twenty", "20 items of each exam, drawn once", settings={"fitness": "twenty"}),
    Way("stratified", "20 items, from strata of difficulty", settings={"fitness": "stratified"}),
    Way(
        "log-probability",
        "20 items, other ones in every batch, candidates ranked by the log-probability of the right answer",
        settings={"fitness": "rotating", "allocation.proxy": "gold_logprob"},
    ),
    Way(
        "all, log-probability",
        "all items of the pool, candidates ranked by the log-probability of the right answer",
        settings={"fitness": "all", "allocation.proxy": "gold_logprob"},
    ),
    Way(
        "twenty, log-probability",
        "20 items of each exam, drawn once, and the same ranking",
        settings={"fitness": "twenty", "allocation.proxy": "gold_logprob"},
    ),
    Way("cut", "all items in three rungs, around the selection cut", settings={"fitness": "cut"}),
    Way("sequential", "all items in three rungs, with a sequential test", settings={"fitness": "sequential"}),
)
CORE, FURTHER = WAYS[:5], WAYS[5:]  # further ones are done after the others, for as many runs as there is time
PEERS, MORE, ALL, _, SHOWN = (way.name for way in CORE)  # shown: the best of three runs that are not in the study
FRONTS = CORE  # the same for two objectives, with NSGA-II
