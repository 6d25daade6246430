"""The part of the contract of searchers that those keep whose specification says ``partial``."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np

from evomerge.contracts import landscape
from evomerge.contracts.searcher_cases import disturbed, identical
from evomerge.search.searchers import Observation, Problem, Proposal, Searcher, SearcherSpec

__all__ = ["N_VAR", "PartialContract"]

N_VAR = 6


class PartialContract:
    """Promises of searchers that are asked for one candidate at a time and told in any order; others pass.

    Attributes:
        spec: The searcher under test.
    """

    spec: SearcherSpec

    def make(self, problem: Problem | None = None, **settings: object) -> Searcher:
        """Makes the searcher; see `SearcherContract.make`."""
        raise NotImplementedError

    def problem(self, n_var: int = N_VAR, n_con: int = landscape.N_CON, starts: object = None) -> Problem:
        """A problem; see `SearcherContract.problem`."""
        raise NotImplementedError

    def observe(
        self, proposals: list[Proposal], kind: str = "mixed", n_con: int = landscape.N_CON
    ) -> list[Observation]:
        """Values of proposals; see `SearcherContract.observe`."""
        raise NotImplementedError

    def steady(
        self, searcher: Searcher, count: int, at_work: int, seed: int, kind: str = "mixed"
    ) -> Iterator[list[Proposal]]:
        """Asks for one candidate after the other, and from some number at work on tells one of them, drawn by chance.

        Args:
            searcher: The searcher.
            count: Number of asks.
            at_work: How many proposals wait for their values at most.
            seed: Of the chance.
            kind: Kind of the landscape.
        """
        chance, waiting = random.Random(seed), list[Proposal]()
        for _ in range(count):
            proposals = searcher.ask(1)
            yield proposals
            waiting += proposals
            if len(waiting) >= at_work:
                searcher.tell(self.observe([waiting.pop(chance.randrange(len(waiting)))], kind))

    def test_partial_searchers_repeat_any_order_of_asks_and_tells(self) -> None:
        """Few and many at work at one time, told one by one by chance: the same order, the same proposals."""
        if not self.spec.partial:
            return
        for seed, at_work in enumerate((1, 4, 25)):
            calm, troubled = (map(identical, self.steady(self.make(), 60, at_work, seed)) for _ in range(2))
            for wanted, hostile in zip(calm, disturbed(troubled), strict=True):
                assert wanted == hostile

    def test_partial_searchers_propose_as_many_as_are_wanted(self) -> None:
        """One, under an id of its own, of parents that have been told; the initial population comes first."""
        if not self.spec.partial:
            return
        starts = np.random.default_rng(0).random((3, N_VAR))
        told, waiting, made = set[str](), list[Proposal](), list[Proposal]()
        searcher, chance = self.make(self.problem(starts=starts)), random.Random(0)
        for step in range(60):
            proposals = searcher.ask(1)
            assert len(proposals) == 1
            assert proposals[0].id not in {other.id for other in made}
            assert set(proposals[0].parents) <= told, "parents have been told"
            made += proposals
            waiting += proposals
            if step >= 10:
                chosen = waiting.pop(chance.randrange(len(waiting)))
                searcher.tell(self.observe([chosen]))
                told.add(chosen.id)
        points = landscape.points(made)
        assert {row.tobytes() for row in starts} <= {row.tobytes() for row in points[:8]}
        assert ((points >= 0.0) & (points <= 1.0)).all()

    def test_partial_searchers_learn_from_whoever_is_told(self) -> None:
        """Half of the cube is infeasible: values that come late and in any order keep later proposals out of it."""
        if not self.spec.partial or self.spec.constraints == "none":
            return
        asked = list(self.steady(self.make(self.problem(4), population=12), 300, 8, 0, "halved"))
        late = landscape.points([proposal for proposals in asked[-60:] for proposal in proposals])
        assert (late[:, 0] < 0.5).mean() < 0.6 * 0.5
