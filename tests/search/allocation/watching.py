"""Small searches with windows, and searchers that keep what they were told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evomerge.search import AllocationSettings, Budgets, SearchPlan
from evomerge.search.searchers import Observation, Proposal, Searcher, Selection
from tests.search.analytic import Analytic, more_items, plan

__all__ = ["NOISY", "POOL", "Watched", "allocated", "watched"]

POOL = 24
NOISY = Analytic(broken=0.1, noise=0.05)


def allocated(searcher: str, evaluations: int = 24, **settings: object) -> SearchPlan:
    """A small search with windows."""
    made = plan(searcher, budgets=Budgets(evaluations=evaluations, max_failures=50))
    return replace(made, items=more_items(POOL), allocation=AllocationSettings(**settings))  # type: ignore[arg-type]


class Watched:
    """A searcher that keeps what it was told."""

    def __init__(self, searcher: Searcher) -> None:
        self.searcher = searcher
        self.batches: list[tuple[list[str], Selection, dict[str, Observation]]] = []
        self.name = "watched"

    def ask(self, n: int | None = None) -> list[Proposal]:
        proposals = self.searcher.ask(n)
        self.asked = [proposal.id for proposal in proposals]
        return proposals

    def selection(self) -> Selection:
        return self.searcher.selection()

    def tell(self, observations: Sequence[Observation]) -> None:
        self.batches.append((self.asked, self.searcher.selection(), {one.id: one for one in observations}))
        self.searcher.tell(observations)


def watched(work: SearchPlan) -> tuple[SearchPlan, list[Watched]]:
    """A search, and a list that its searcher is put into."""
    made: list[Watched] = []

    def make(problem: object) -> Watched:
        made.append(Watched(work.searcher(problem)))  # type: ignore[arg-type]
        return made[-1]

    return replace(work, searcher=make), made
