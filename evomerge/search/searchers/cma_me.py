"""CMA-ME, from pyribs: CMA-ES whose samples are ranked by how much they improve an archive of elites.

Archive and emitters are pyribs's. An emitter is a CMA-ES that ranks its sample by who reaches a new cell, then by who
improves on an elite by most, and begins again at a random elite when a sample improves nothing. Beyond pyribs: genomes
that leave the unit cube are reflected at its faces (its own resampling takes for ever in a corner of many genes),
infeasible genomes enter no cell and are ranked after all others by their violation, and as long as nothing is feasible
an emitter begins anew at a random point. It learns from whole samples.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from evomerge.options import Option
from evomerge.search.searchers._shared.archives.elites import measures_of
from evomerge.search.searchers._shared.generational import Generational, Parents
from evomerge.search.searchers._shared.initial_population import generator
from evomerge.search.searchers._shared.protocol import Array, Observation, Problem, Searcher, Selection
from evomerge.search.searchers._shared.ranking import ranks
from evomerge.search.searchers._shared.spec import ONE, SearcherSettings, SearcherSpec
from evomerge.search.searchers._shared.variation import reflected

__all__ = ["SEARCHER", "CmaMe"]

_BEYOND = 1e6  # of infeasible genomes, below every improvement


class CmaMe(Generational):
    """Proposes the starts, then the samples of its emitters.

    Args:
        problem: What it is made for, of one objective and at least one measure.
        population: Genomes of an emitter's sample; None for ``4 + 3 ln(n_var)``.
        emitters: Number of emitters.
        sigma: First standard deviation.
        random: Its random numbers.
    """

    def __init__(
        self, problem: Problem, population: int | None, emitters: int, sigma: float, random: np.random.Generator
    ) -> None:
        super().__init__("cma_me")
        self._n_var = problem.n_var
        self._n_measures = problem.n_measures
        self._settings: dict[str, Any] = {"sigma0": sigma, "batch_size": population, "ranker": "2imp"}
        self._count = emitters
        self._random = random
        self._starts = problem.starts
        self._archive = self._empty(problem)
        self._emitters: list[Any] = []
        self._raw: list[Array] = []  # the last samples, as the emitters made them
        self._asked: Array = np.zeros((0, problem.n_var))  # the last batch
        self._measures: dict[str, Array] = {}
        self._ids: list[str] = []  # of everyone ever told, by number
        if not len(self._starts):
            self._begin(np.full((1, problem.n_var), 0.5))

    def _empty(self, problem: Problem) -> Any:
        from ribs.archives import GridArchive

        assert problem.grid is not None
        return GridArchive(
            solution_dim=problem.n_var,
            dims=[problem.grid.cells] * problem.n_measures,
            ranges=list(zip(problem.grid.low, problem.grid.high, strict=True)),
            seed=int(self._random.integers(2**63)),
            extra_fields={"number": ((), np.int64)},
        )

    def propose(self) -> tuple[Array, Parents]:
        """The starts, then samples; nobody has parents."""
        if not self._emitters:
            self._asked = self._starts
        else:
            self._raw = [np.array(emitter.ask(), dtype=np.float64) for emitter in self._emitters]
            self._asked = reflected(np.concatenate(self._raw))
        return self._asked, ()

    def tell(self, observations: Sequence[Observation]) -> None:
        """All values and measures of the last batch, and corrected ones of elites; see `Searcher.tell`."""
        self._measures |= measures_of(observations, self._n_measures)
        super().tell(observations)
        self._measures.clear()

    def learn(self, ids: Sequence[str], F: Array, G: Array) -> None:
        """Puts the feasible ones into their cells and moves the emitters, or begins them at the best starts."""
        rank = [own for _, own in ranks(ids, F, G)]
        missed = np.array([violation for violation, _ in rank])
        measures = np.array([self._measures[id] for id in ids])
        status, value = np.zeros(len(ids), dtype=int), -_BEYOND * (1.0 + missed)
        good = missed <= 0.0
        if good.any():
            numbers = len(self._ids) + np.arange(len(ids))
            added = self._archive.add(self._asked[good], -F[good, 0], measures[good], number=numbers[good])
            status[good], value[good] = added["status"], added["value"]
        self._ids += ids
        if not self._emitters:
            self._begin(self._asked[sorted(range(len(ids)), key=rank.__getitem__)])
            return
        end = 0
        for number, raw in enumerate(self._raw):
            rows = slice(end, end := end + len(raw))
            if self._archive.empty:
                self._emitters[number] = self._emitter(self._random.random(self._n_var))
                continue
            self._emitters[number].tell(
                raw, -F[rows, 0], measures[rows], {"status": status[rows], "value": value[rows]}
            )

    def revise(self, ids: Sequence[str], F: Array, G: Array) -> None:
        """Gives elites corrected values, and their cells anew; those that miss a constraint now leave."""
        found = {id: (rank, self._measures[id]) for id, rank in ranks(ids, F, G)}
        elites = self._archive.data(return_type="dict")
        self._archive.clear()
        for row, number in enumerate(elites["number"].tolist()):
            rank, measures = found.get(self._ids[number], ((0.0, -elites["objective"][row]), elites["measures"][row]))
            if rank[0] <= 0.0:
                self._archive.add_single(elites["solution"][row], -rank[1], measures, number=number)

    def selection(self) -> Selection:
        """Every elite is kept until a better one comes into its cell."""
        return Selection(tuple(self._ids[number] for number in self._archive.data("number").tolist()))

    def _begin(self, means: Array) -> None:
        """Begins the emitters at some means, the first ones first; at the same ones again where they are few."""
        self._emitters = [self._emitter(means[number % len(means)]) for number in range(self._count)]

    def _emitter(self, mean: Array) -> Any:
        from ribs.emitters import EvolutionStrategyEmitter

        seed = int(self._random.integers(2**63))
        return EvolutionStrategyEmitter(self._archive, x0=mean, es=_strategy(), seed=seed, **self._settings)


@functools.cache
def _strategy() -> Any:
    """CMA-ES of pyribs without numba, which compiles for seconds what takes microseconds, and rounds as it likes."""
    from ribs.emitters.opt import CMAEvolutionStrategy

    compiled = [name for name, own in vars(CMAEvolutionStrategy).items() if hasattr(_plain(own), "py_func")]
    plain = {name: staticmethod(getattr(CMAEvolutionStrategy, name).py_func) for name in compiled}
    return type("Strategy", (CMAEvolutionStrategy,), plain)


def _plain(own: Any) -> Any:
    return own.__func__ if isinstance(own, staticmethod) else own


def make(problem: Problem, settings: SearcherSettings) -> Searcher:
    """Makes the searcher."""
    random, options = generator(settings.seed, "cma_me"), settings.options
    return CmaMe(problem, settings.population, options["emitters"], options["sigma"], random)


SEARCHER = SearcherSpec(
    name="cma_me",
    title="CMA-ME (Fontaine et al. 2020, arXiv:1912.02400), pyribs's",
    objectives=ONE,
    constraints="native",
    handling="infeasible genomes enter no cell and are ranked last, by their violation",
    make=make,
    options={
        "sigma": Option(0.25, None, float, "first standard deviation, of genes in [0, 1]", 1e-6, 1.0),
        "emitters": Option(1, None, int, "number of emitters; each has a sample of its own in every batch", 1, 64),
    },
    population=None,
    whole="it ranks samples drawn from Gaussians as they are, and late values would be of ones that have moved on",
    retell=True,
    measures=True,
    library="ribs",
)
