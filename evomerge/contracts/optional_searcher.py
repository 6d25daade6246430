"""The part of the contract of searchers on what only some do: recommend, take measures, choose among models."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from evomerge.contracts import landscape
from evomerge.contracts.partial_searcher import N_VAR
from evomerge.contracts.searcher_cases import Trace, expert_pool, identical, refused
from evomerge.search.searchers import Observation, Problem, Proposal, Recommends, Searcher, SearcherSpec

__all__ = ["OptionalContract"]


class OptionalContract:
    """Promises of searchers that do more than propose genomes; others pass.

    Attributes:
        spec: The searcher under test.
    """

    spec: SearcherSpec

    def make(self, problem: Problem | None = None, **settings: object) -> Searcher:
        """Makes the searcher; see `SearcherContract.make`."""
        raise NotImplementedError

    def observe(
        self, proposals: list[Proposal], kind: str = "mixed", n_con: int = landscape.N_CON
    ) -> list[Observation]:
        """Values of proposals; see `SearcherContract.observe`."""
        raise NotImplementedError

    def trace(self, searcher: Searcher, batches: int, kind: str = "mixed") -> Iterator[Trace]:
        """What is proposed; see `SearcherContract.trace`."""
        raise NotImplementedError

    def test_recommendations_lie_in_the_cube_and_change_nothing(self) -> None:
        """Of a searcher that makes any: before it was told something, in the middle, and after it has converged."""
        asked, unasked = self.make(), self.make()
        if not isinstance(asked, Recommends):
            return
        for kind in ("mixed", "flat", "infeasible"):
            for batch, again in zip(self.trace(asked, 12, kind), self.trace(unasked, 12, kind), strict=True):
                genomes, twice = asked.recommend(), asked.recommend()
                assert batch == again
                assert genomes.tobytes() == twice.tobytes()
                assert genomes.shape[1:] == (N_VAR,)
                assert genomes.dtype == np.float64
                assert ((genomes >= 0.0) & (genomes <= 1.0)).all()
        assert len(asked.recommend())

    def test_measures_are_as_declared(self) -> None:
        """They are needed, or change nothing."""
        if self.spec.measures:
            searcher = self.make()
            proposals = searcher.ask()
            bare = [Observation(o.id, o.F, o.G) for o in self.observe(proposals)]
            assert refused(lambda: searcher.tell(bare))
            searcher.tell(self.observe(proposals))
            return
        with_measures, without = self.make(), self.make()
        for _ in range(3):
            asked, again = with_measures.ask(), without.ask()
            assert identical(asked) == identical(again)
            told = self.observe(asked)
            with_measures.tell([Observation(o.id, o.F, o.G, measures=np.ones(2)) for o in told])
            without.tell(told)

    def test_searchers_among_models_begin_with_each_alone(self) -> None:
        """As the baselines have them, whatever genomes are given to start from."""
        if self.spec.recipes:
            assert [one.recipe for one in self.make().ask()] == list(expert_pool().alone)

    def test_searchers_among_models_keep_what_is_feasible(self) -> None:
        """What they make of feasible models may be infeasible; what they keep is not, if it is not all that is left."""
        if not self.spec.recipes:
            return
        searcher, known = self.make(), dict[str, Observation]()
        for _ in range(8):
            proposals, kept = searcher.ask(), searcher.selection().kept
            if any((one.G <= 0.0).all() for one in known.values()):
                assert any((known[id].G <= 0.0).all() for id in kept)
            observed = self.observe(proposals, "halved")
            known |= {one.id: one for one in observed}
            searcher.tell(observed)
        assert any((one.G > 0.0).any() for one in known.values())
