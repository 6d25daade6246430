"""Algorithms of pymoo by ask and tell. The only file that imports pymoo; searchers import it when they are made."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.config import Config

Config.warnings["not_compiled"] = False  # a hint printed at import; the pure Python parts are no bottleneck here

from pymoo.algorithms.soo.nonconvex.ga import FitnessSurvival  # noqa: E402
from pymoo.core.duplicate import DefaultDuplicateElimination  # noqa: E402
from pymoo.core.evaluator import Evaluator  # noqa: E402
from pymoo.core.population import Population  # noqa: E402
from pymoo.core.problem import Problem as PymooProblem  # noqa: E402
from pymoo.core.replacement import ImprovementReplacement  # noqa: E402
from pymoo.core.termination import NoTermination  # noqa: E402
from pymoo.operators.crossover.sbx import SBX  # noqa: E402
from pymoo.operators.mutation.pm import PM  # noqa: E402
from pymoo.operators.selection.tournament import TournamentSelection  # noqa: E402
from pymoo.problems.static import StaticProblem  # noqa: E402
from pymoo.util.ref_dirs import get_reference_directions  # noqa: E402

from evomerge.search.searchers._shared.generational import Parents  # noqa: E402
from evomerge.search.searchers._shared.initial_population import initial_population  # noqa: E402
from evomerge.search.searchers._shared.protocol import Array, Problem, Selection  # noqa: E402
from evomerge.search.searchers._shared.spec import SearcherSettings  # noqa: E402
from evomerge.search.searchers._shared.steady_individuals import PARENTS, SteadyIndividuals  # noqa: E402

__all__ = [
    "PROPOSAL",
    "Pymoo",
    "SteadyGenetic",
    "algorithm",
    "genetic",
    "individuals",
    "reference_directions",
    "tournament",
]

PROPOSAL = "proposal"  # what individuals carry beyond pymoo's own data, beside their parents


class Pymoo:
    """One of pymoo's algorithms, set up, and its members.

    Args:
        name: The searcher's name; its random numbers follow from it and the seed.
        problem: What it is made for.
        seed: Root of its random numbers.
        algorithm: The algorithm, not set up.
        paired: Whether child ``i`` of a batch descends from member ``i`` of the population.
    """

    def __init__(self, name: str, problem: Problem, seed: int, algorithm: Any, paired: bool = False) -> None:
        self._problem = PymooProblem(
            n_var=problem.n_var,
            n_obj=problem.n_obj,
            n_ieq_constr=problem.n_con,
            xl=np.zeros(problem.n_var),
            xu=np.ones(problem.n_var),
        )
        self.algorithm = algorithm
        # pymoo's termination is not used: budgets are the loop's, and its default would stop on noise.
        algorithm.setup(self._problem, termination=NoTermination(), seed=[seed, *name.encode()])
        self._paired = paired

    def next(self) -> Any:
        """The algorithm's next batch; None when mating finds nothing but copies."""
        population = self.algorithm.ask()
        if population is None or len(population) == 0:
            self.algorithm.termination.force_termination = False
            return None
        return population

    def advance(self, population: Sequence[Any], ids: Sequence[str], F: Array, G: Array) -> None:
        """Gives individuals their ids and values, and the algorithm the individuals."""
        self.evaluate(population, ids, F, G)
        self.tell(population)

    def evaluate(self, members: Sequence[Any], ids: Sequence[str], F: Array, G: Array) -> None:
        """Gives individuals their ids and values."""
        population = Population.create(*members)
        population.set(PROPOSAL, ids)
        Evaluator().eval(StaticProblem(self._problem, F=F, G=G), population)

    def tell(self, members: Sequence[Any]) -> None:
        """Gives the algorithm individuals that have their values."""
        self.algorithm.tell(infills=Population.create(*members))

    def better(self, new: Any, old: Any) -> bool:
        """Whether an individual would take the place of another, as DE replaces."""
        both = [Population.create(one) for one in (old, new)]
        return bool(ImprovementReplacement().do(self.algorithm.problem, *both, return_indices=True)[0])

    def correct(self, members: Sequence[Any], ids: Sequence[str], F: Array, G: Array) -> bool:
        """Gives those of the members that are named corrected values; whether any is."""
        rows = {id: row for row, id in enumerate(ids)}
        members = [member for member in members if member.get(PROPOSAL) in rows]
        if not members:
            return False
        chosen = [rows[member.get(PROPOSAL)] for member in members]
        static = StaticProblem(self._problem, F=F[chosen], G=G[chosen])
        Evaluator(skip_already_evaluated=False).eval(static, Population.create(*members))
        for member in members:
            member.CV = None  # pymoo remembers the violation of the values that are gone
        return True

    def revise(self, ids: Sequence[str], F: Array, G: Array) -> None:
        """Gives members of the population corrected values, and ranks them anew."""
        if self.correct(self.members(), ids, F, G):
            self._rank()

    def selection(self) -> Selection:
        """The population is kept, of PSO the personal bests, among which is the global one; all compete for places."""
        kept = tuple(member.get(PROPOSAL) for member in self.members())
        return Selection(kept, self.algorithm.pop_size, self._paired and bool(kept))

    def members(self) -> Any:
        """The population; empty before anything was told."""
        return self.algorithm.pop if self.algorithm.is_initialized else ()

    def lineage(self, population: Any) -> Parents:
        """The ids of the parents of each individual."""
        if self._paired and self.algorithm.is_initialized:
            return [(member.get(PROPOSAL),) for member in self.algorithm.pop]
        return [child.get(PARENTS) or () for child in population]

    def mate(self, members: Sequence[Any], count: int) -> list[Any]:
        """As many children, each of one of the first members, that mates with all."""
        algorithm = self.algorithm
        population, draw = Population.create(*members), algorithm.random_state
        return list(algorithm.mating.do(self._problem, population, count, algorithm=algorithm, random_state=draw))

    def _rank(self) -> None:
        """Recomputes what the algorithm derives from its members' values; their order stays."""
        algorithm: Any = self.algorithm
        survival: Any = getattr(algorithm, "survival", None)
        if hasattr(survival, "norm"):  # of NSGA-III: ideal and extreme points of values that are gone
            survival.norm = type(survival.norm)(self._problem.n_obj)
        ties = np.random.default_rng(0)  # ranking anew must not move the algorithm's own generator
        survival = survival or FitnessSurvival()  # as DE and PSO rank their members
        survival.do(self._problem, algorithm.pop, algorithm=algorithm, random_state=ties)
        algorithm._set_optimum()


class SteadyGenetic(SteadyIndividuals):
    """One of pymoo's genetic algorithms, in generations or in a steady state.

    The initial population may be asked in pieces. Whoever is told joins the population, in which as many survive as it
    has places; so told one by one it is the (mu + 1) form of the algorithm. Where more is wanted than the initial
    population before two of it were told, genomes are drawn uniformly; from then on children of those told.

    Args:
        name: The searcher's name; its random numbers follow from it and the seed.
        problem: What it is made for.
        seed: Root of its random numbers.
        algorithm: The algorithm, not set up, which eliminates duplicates by `distinct`.
        distinct: Told of what is being scored, so that no copy of it is proposed.
    """

    def __init__(self, name: str, problem: Problem, seed: int, algorithm: Any, distinct: _Distinct) -> None:
        super().__init__(name, Pymoo(name, problem, seed, algorithm), problem, seed)
        self._distinct = distinct

    def further(self, count: int) -> list[Any]:
        """Children; empty where mating finds nothing but copies."""
        if len(self._pymoo.members()) < 2:
            return individuals(self._random.random((count, self._n_var)))
        self._pymoo.algorithm.n_offsprings = count
        self._distinct.others = Population.create(*self._waiting.values(), *self._asked)
        found = self._pymoo.next()
        return [] if found is None else list(found)

    def learn(self, ids: Sequence[str], F: Array, G: Array) -> None:
        """Those told join the population, and the fittest survive."""
        self._pymoo.advance([self._waiting.pop(id) for id in ids], ids, F, G)

    def revise(self, ids: Sequence[str], F: Array, G: Array) -> None:
        """Gives members of the population corrected values, and ranks them anew."""
        self._pymoo.revise(ids, F, G)


class _Distinct(DefaultDuplicateElimination):  # type: ignore[misc]
    """Eliminates copies of the population, and of what is being scored."""

    others: Any = ()

    def do(self, pop: Any, *others: Any, **settings: Any) -> Any:
        """The individuals of ``pop`` that are new."""
        return super().do(pop, *others, self.others, **settings)


class _Crossover(SBX):  # type: ignore[misc]
    """Simulated binary crossover whose children know their parents."""

    def do(self, problem: Any, pop: Any, *arguments: Any, **settings: Any) -> Any:
        """Crosses matings ``(n_matings, 2)`` of individuals."""
        children = super().do(problem, pop, *arguments, **settings)
        matings = [tuple(dict.fromkeys(parent.get(PROPOSAL) for parent in mating)) for mating in pop]
        for index, child in enumerate(children):
            child.set(PARENTS, matings[index % len(matings)])
        return children


def algorithm(path: str, **arguments: Any) -> Any:
    """Makes an algorithm from its path below ``pymoo.algorithms``, such as ``moo.nsga2.NSGA2``."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(f"pymoo.algorithms.{module}"), name)(**arguments)


def genetic(name: str, path: str, problem: Problem, settings: SearcherSettings, **arguments: Any) -> SteadyGenetic:
    """A genetic algorithm with the operators that `VARIATION` sets.

    Args:
        name: The searcher's name.
        path: Path of the algorithm, see `algorithm`.
        problem: What it is made for.
        settings: Complete settings.
        arguments: Further arguments of the algorithm.
    """
    options, distinct = settings.options, _Distinct()
    made = algorithm(
        path,
        pop_size=settings.population,
        sampling=initial_population(problem, settings),
        crossover=_Crossover(prob=options["crossover_probability"], eta=options["crossover_eta"]),
        mutation=PM(prob=options["mutation_probability"], eta=options["mutation_eta"]),
        eliminate_duplicates=distinct,
        **arguments,
    )
    return SteadyGenetic(name, problem, settings.seed, made, distinct)


def individuals(X: Array) -> list[Any]:
    """New individuals with these genomes ``(n, n_var)``, without values."""
    return list(Population.new(X=X))


def reference_directions(n_obj: int, partitions: int) -> Array:
    """A regular grid on the unit simplex, ``(n, n_obj)`` (Das & Dennis 1998, doi:10.1137/S1052623496307510)."""
    return np.asarray(get_reference_directions("das-dennis", n_obj, n_partitions=partitions))


def tournament(compare: Callable[..., NDArray[np.int_]]) -> Any:
    """A binary tournament; ``compare(pop, pairs, random_state=...)`` returns the winners' rows ``(n, 1)``."""
    return TournamentSelection(func_comp=compare)
