"""Parts of the contract of searchers that some keep: who is asked in pieces, recommends, measures, takes models."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from evomerge.contracts import landscape
from evomerge.contracts._searcher.cases import Trace, disturbed, expert_pool, identical, refused
from evomerge.search.searchers import (
    Bounded,
    Observation,
    Paced,
    Problem,
    Proposal,
    Recommends,
    Searcher,
    SearcherSpec,
)

__all__ = ["N_VAR", "OptionalContract", "PartialContract"]

N_VAR = 6


class Subject:
    """The searcher under test, and what parts of its contract ask of the whole.

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


class PartialContract(Subject):
    """Promises of searchers that are asked for one candidate at a time and told in any order; others pass."""

    def problem(self, n_var: int = N_VAR, n_con: int = landscape.N_CON, starts: object = None) -> Problem:
        """A problem; see `SearcherContract.problem`."""
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


class OptionalContract(Subject):
    """Promises of searchers that do more than propose genomes; others pass."""

    def trace(self, searcher: Searcher, batches: int, kind: str = "mixed") -> Iterator[Trace]:
        """Proposals, batch by batch; see `SearcherContract.trace`."""
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
                if not isinstance(genomes, np.ndarray):
                    assert list(genomes) == list(twice)
                    continue
                assert genomes.tobytes() == np.asarray(twice).tobytes()
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
            with_measures.tell([replace(o, measures=np.ones(2)) for o in told])
            without.tell(told)

    def test_searchers_among_models_begin_with_each_alone(self) -> None:
        """As the baselines have them, whatever genomes are given to start from."""
        if self.spec.recipes:
            assert [one.recipe for one in self.make().ask()] == list(expert_pool().alone)

    def test_searchers_among_models_that_fall_silent_are_over(self) -> None:
        """They propose nothing ever after, and no more in all than they said there was left, if they say so."""
        if not self.spec.recipes:
            return
        searcher, sizes, left = self.make(), list[int](), list[int | None]()
        for _ in range(12):
            left.append(searcher.left() if isinstance(searcher, Bounded) else None)
            proposals = searcher.ask()
            sizes.append(len(proposals) if sizes else 0)  # models alone do not count
            if proposals:
                searcher.tell(self.observe(proposals))
        silent = [not size for size in sizes[1:]]
        assert silent == sorted(silent)
        assert all(bound is None or sum(sizes[ask:]) <= bound for ask, bound in enumerate(left))
        fresh = self.make()
        if isinstance(fresh, Paced) and isinstance(fresh, Bounded):
            foreseen = list(fresh.batches())
            assert sum(foreseen) == fresh.left()
            assert sum(sizes) <= sum(foreseen)
            assert sum(map(bool, sizes)) <= len(foreseen)

    def test_searchers_among_models_keep_what_is_feasible(self) -> None:
        """Merges of feasible models may be infeasible; of those that are kept some are feasible, if any are known.

        A searcher that is told everything once keeps nobody to be told again: of the parents that it takes some are.
        """
        if not self.spec.recipes:
            return
        searcher, known = self.make(), dict[str, Observation]()
        for _ in range(8):
            proposals = searcher.ask()
            parents = [id for one in proposals for id in one.parents]
            kept = searcher.selection().kept if self.spec.retell else parents
            if any((one.G <= 0.0).all() for one in known.values()):
                assert any((known[id].G <= 0.0).all() for id in kept)
            observed = self.observe(proposals, "halved")
            known |= {one.id: one for one in observed}
            searcher.tell(observed)
        assert any((one.G > 0.0).any() for one in known.values())
