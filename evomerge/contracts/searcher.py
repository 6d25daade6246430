"""The contract of searchers: repeatable, inside the unit cube, deaf to global generators, honest in its declaration."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from evomerge.analysis.diversity.grid import Grid
from evomerge.contracts import landscape
from evomerge.contracts._searcher.cases import (
    Trace,
    Unseeded,
    average,
    disturbed,
    expert_pool,
    identical,
    other_values,
    pushes,
    refused,
)
from evomerge.contracts._searcher.partial import N_VAR, OptionalContract, PartialContract
from evomerge.search.searchers import (
    Array,
    Observation,
    Problem,
    Proposal,
    Searcher,
    SearcherSettings,
    SearcherSpec,
)

__all__ = ["SearcherContract"]

SEEDS = (0, 1, 12345678901)


class SearcherContract(PartialContract, OptionalContract):
    """Promises of every searcher.

    Attributes:
        spec: The searcher under test.
    """

    spec: SearcherSpec

    def make(self, problem: Problem | None = None, **settings: object) -> Searcher:
        """Makes the searcher with complete settings; the default problem has two constraints and two starts."""
        given = SearcherSettings(**{"population": 8, **settings})  # type: ignore[arg-type]
        assert self.spec.problems(given) == []
        return self.spec.make(problem or self.problem(), self.spec.complete(given))

    def problem(self, n_var: int = N_VAR, n_con: int = landscape.N_CON, starts: object = None) -> Problem:
        """A problem with as few objectives as the searcher takes."""
        if starts is None:
            starts = np.stack([np.zeros(n_var), np.ones(n_var)])
        pool, n_obj, starts = expert_pool() if self.spec.recipes else None, self.spec.objectives[0], np.asarray(starts)
        reach = np.linspace(0.5, 2.0, n_var)
        return Problem(n_var, n_obj, n_con, starts, self.grid(n_obj), pool, pushes(n_obj), lambda: reach, average)

    def grid(self, n_obj: int) -> Grid | None:
        """A grid over as many measures as a searcher of so many objectives takes."""
        count = (n_obj if n_obj > 1 else 2) if self.spec.measures else 0
        return Grid((0.0,) * count, (1.0,) * count, 5) if count else None

    def observe(
        self, proposals: list[Proposal], kind: str = "mixed", n_con: int = landscape.N_CON
    ) -> list[Observation]:
        """Values of proposals on one of the landscapes of :mod:`evomerge.contracts.landscape`."""
        X = landscape.points(proposals)
        F, G = landscape.values(X, self.spec.objectives[0], kind)
        rows = zip(proposals, F, G, self.measures(X, self.spec.objectives[0]), strict=True)
        scores = iter(self.scores(X))
        return [Observation(p.id, f, g, None, own, 20, next(scores)) for p, f, g, own in rows]

    def scores(self, X: Array) -> list[Array | None]:
        """Scores of items: how near a point is to each of some others."""
        return list(landscape.scores(X)) if self.spec.items else [None] * len(X)

    def measures(self, X: Array, n_obj: int) -> list[Array | None]:
        """Measures of points: their last genes, again where they are few; constraints depend on the first one."""
        grid = self.grid(n_obj)
        return [None if grid is None else np.resize(x[::-1], len(grid)) for x in X]

    def trace(self, searcher: Searcher, batches: int, kind: str = "mixed") -> Iterator[Trace]:
        """Asks and tells, and yields what was proposed, batch by batch."""
        for _ in range(batches):
            proposals = searcher.ask()
            yield identical(proposals)
            searcher.tell(self.observe(proposals, kind))

    # Declaration

    def test_declaration_is_whole(self) -> None:
        """Defaults are accepted, ranges are refused beyond their ends, and everything has words for people."""
        spec = self.spec
        least, most = spec.objectives
        assert least >= 1
        assert most is None or most >= least
        assert spec.constraints in ("native", "penalty", "none")
        assert spec.title
        assert spec.handling
        assert spec.problems(SearcherSettings()) == []
        for name, option in spec.options.items():
            assert option.doc, f"option {name} has no help"
            assert option.problem(name, option.default) is None
            beyond = [end + step for end, step in ((option.low, -1), (option.high, 1)) if end is not None]
            for value in beyond:
                assert spec.problems(SearcherSettings(options={name: option.kind(value)})), f"{name} takes {value}"
        assert spec.problems(SearcherSettings(options={"no such option": 1}))

    def test_every_option_has_an_effect(self) -> None:
        """Another value changes what is proposed; the default given by hand does not."""

        def run(**options: object) -> list[Trace]:
            return list(self.trace(self.make(options=options), 6))

        for name, option in self.spec.options.items():
            assert run() == run(**{name: option.default})
            others = other_values(option)
            assert not others or any(run(**{name: other}) != run() for other in others), f"{name} changes nothing"

    # Repeatability

    def test_asked_and_told_the_same_it_proposes_the_same(self) -> None:
        """Ids, genomes and parents are equal to the last bit, whatever the rest of the program does."""
        for seed in SEEDS:
            calm, troubled = self.make(seed=seed), self.make(seed=seed)
            for wanted, hostile in zip(self.trace(calm, 12), disturbed(self.trace(troubled, 12)), strict=True):
                assert wanted == hostile

    def test_seeds_matter(self) -> None:
        """Two seeds, two searches; unless it is declared that they do not matter."""
        first, second = (list(self.trace(self.make(seed=seed), 4)) for seed in (0, 1))
        assert (first != second) == self.spec.stochastic

    def test_the_order_within_a_tell_does_not_matter(self) -> None:
        """Values are matched by id."""
        forwards, backwards = self.make(), self.make()
        for _ in range(6):
            asked, again = forwards.ask(), backwards.ask()
            assert identical(asked) == identical(again)
            forwards.tell(self.observe(asked))
            backwards.tell(self.observe(again)[::-1])

    def test_global_generators_are_left_alone(self) -> None:
        """Those of numpy and of Python; both belong to the program around it."""
        list(self.trace(self.make(), 2))  # libraries that a searcher loads may draw some while they are imported
        before = (str(np.random.get_state()), random.getstate())  # noqa: NPY002
        list(self.trace(self.make(), 4))
        assert (str(np.random.get_state()), random.getstate()) == before  # noqa: NPY002

    def test_no_random_number_comes_from_an_unseeded_generator(self) -> None:
        """A call that forgets to pass its generator often gets an unseeded one."""
        list(self.trace(self.make(), 1))
        make_generator = np.random.default_rng
        np.random.default_rng = lambda seed=None: make_generator(seed) if seed is not None else Unseeded()  # type: ignore
        try:
            for kind in ("mixed", "infeasible"):
                list(self.trace(self.make(), 8, kind))
        finally:
            np.random.default_rng = make_generator

    # Proposals

    def test_genomes_lie_in_the_cube_and_ids_are_unique(self) -> None:
        """For one gene and for many, where all values differ, where all are equal, and where nothing is feasible."""
        for n_var in (1, 2, 40):
            for kind in ("mixed", "flat", "infeasible"):
                searcher, seen = self.make(self.problem(n_var), population=6), set[str]()
                for _ in range(8):
                    proposals = searcher.ask()
                    ids = {proposal.id for proposal in proposals}
                    assert len(ids) == len(proposals)
                    assert ids.isdisjoint(seen)
                    assert all(set(p.parents) <= seen for p in proposals), "parents are proposals of earlier asks"
                    seen |= ids
                    for x in (proposal.x for proposal in proposals if proposal.x is not None):
                        assert x.shape == (n_var,)
                        assert x.dtype == np.float64
                        assert ((x >= 0.0) & (x <= 1.0)).all()
                    searcher.tell(self.observe(proposals, kind))

    def test_the_initial_population_holds_the_starts(self) -> None:
        """None is dropped, also where there are more of them than the population has members."""
        if self.spec.recipes:
            return
        for count in (0, 3, 20):
            starts = np.random.default_rng(count).random((count, N_VAR))
            first = landscape.points(self.make(self.problem(starts=starts)).ask())
            assert {row.tobytes() for row in starts} <= {row.tobytes() for row in first}

    def test_any_number_of_objectives_that_it_declares(self) -> None:
        """And any number of constraints, none included."""
        least, most = self.spec.objectives
        for n_obj in range(least, min(most or 5, 5) + 1):
            for n_con in (0, landscape.N_CON):
                pool = expert_pool() if self.spec.recipes else None
                searcher = self.make(Problem(4, n_obj, n_con, grid=self.grid(n_obj), pool=pool, pushes=pushes(n_obj)))
                for _ in range(4):
                    proposals = searcher.ask()
                    F, G = landscape.values(landscape.points(proposals), n_obj)
                    measures = self.measures(landscape.points(proposals), n_obj)
                    scores = self.scores(landscape.points(proposals))
                    rows = zip(proposals, F, G[:, :n_con], measures, scores, strict=True)
                    searcher.tell([Observation(p.id, f, g, measures=m, scores=s) for p, f, g, m, s in rows])

    def test_constraints_are_handled_as_declared(self) -> None:
        """Half of the cube is infeasible: far less of the later batches is, or the constraints change nothing."""
        if self.spec.recipes:  # what is made of feasible models may be infeasible; see `OptionalContract`
            return
        if self.spec.constraints == "none":
            told = list(self.trace(self.make(), 6, "halved"))
            assert told == list(self.trace(self.make(), 6, "infeasible"))
            return
        searcher, shares = self.make(self.problem(4), population=12), []
        for _ in range(25):
            proposals = searcher.ask()
            if proposals:
                shares.append(float((landscape.points(proposals)[:, 0] < 0.5).mean()))
            searcher.tell(self.observe(proposals, "halved"))
        assert len(shares) >= 20, "a searcher that falls silent handles nothing"
        assert np.mean(shares[-5:]) < 0.6 * 0.5

    # Asking and telling

    def test_values_of_strangers_are_refused(self) -> None:
        """Nothing was asked, or something else."""
        searcher = self.make()
        stranger = Observation("stranger", np.zeros(self.spec.objectives[0]), np.zeros(landscape.N_CON))
        assert refused(lambda: searcher.tell([stranger]))
        proposals = searcher.ask()
        assert refused(lambda: searcher.tell([*self.observe(proposals), stranger]))
        searcher.tell(self.observe(proposals))

    def test_partial_is_as_declared(self) -> None:
        """Told in pieces and asked meanwhile, as many as wanted; or whole batches only, and a refusal harms nothing."""
        searcher = self.make()
        proposals = searcher.ask()
        if self.spec.partial:
            more = searcher.ask(3)
            assert len(more) == 3
            searcher.tell(self.observe([more[2], proposals[-1]]))
            assert len(searcher.ask(1)) == 1
            searcher.tell(self.observe([*more[:2], *proposals[:-1]]))
            return
        assert refused(searcher.ask)
        assert refused(lambda: searcher.tell(self.observe(proposals[1:])))
        assert refused(lambda: searcher.tell(self.observe([*proposals, proposals[0]])))
        searcher.tell(self.observe(proposals))
        undisturbed = self.make()
        list(self.trace(undisturbed, 1))
        assert identical(searcher.ask(3)) == identical(undisturbed.ask()), "a whole batch, whatever is asked for"

    def test_retell_is_as_declared(self) -> None:
        """A corrected value is taken, or refused."""
        searcher = self.make()
        proposals = searcher.ask()
        observations = self.observe(proposals)
        searcher.tell(observations)
        if not self.spec.retell:
            assert refused(lambda: searcher.tell(observations[:1]))
            return
        searcher.tell(observations[:1])
        following = self.observe(searcher.ask())
        whole = self.spec.partial or len(following) == 1
        assert whole or refused(lambda: searcher.tell([*following[:1], *observations[:1]])), "some missing"
        searcher.tell([*following, *observations])
        searcher.ask()

    def test_selection_names_who_is_compared(self) -> None:
        """Kept are proposals of earlier asks; a searcher that keeps any takes corrected values and acts on them."""
        searcher, known = self.make(), dict[str, Observation]()
        for batch in range(6):
            proposals = searcher.ask()
            chosen = searcher.selection()
            assert set(chosen.kept) <= known.keys()
            assert len(set(chosen.kept)) == len(chosen.kept)
            assert self.spec.retell or not chosen.kept, "what is kept has to be told again"
            assert chosen.places is None or 1 <= chosen.places <= len(chosen.kept) + len(proposals)
            assert not (chosen.paired and len(chosen.kept) != len(proposals)) or batch == 0
            observed = self.observe(proposals)
            known |= {one.id: one for one in observed}
            searcher.tell([*observed, *(known[id] for id in chosen.kept)])

    def test_kept_candidates_with_worse_values_do_not_stay(self) -> None:
        """All that are kept turn out to be far worse than the proposals, on the items of these."""
        searcher, known = self.make(), dict[str, Observation]()
        for _ in range(3):
            observed = self.observe(searcher.ask(), "flat")
            known |= {one.id: one for one in observed}
            searcher.tell(observed)
        kept, proposals = searcher.selection().kept, searcher.ask()
        fallen = [replace(known[id], F=np.full(self.spec.objectives[0], 1e6)) for id in kept]
        searcher.tell([*self.observe(proposals, "flat"), *fallen])
        stay = set(searcher.selection().kept) & set(kept)
        assert self.spec.measures or len(stay) <= max(len(kept) - len(proposals), 0), "unless each has its own cell"
