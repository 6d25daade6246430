"""Population algorithms, from pymoo, by ask and tell. The only file that imports pymoo."""

from __future__ import annotations

from collections.abc import Mapping
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.config import Config

Config.warnings["not_compiled"] = False  # a hint printed at import; the pure Python parts are no bottleneck here

from pymoo.algorithms.moo.nsga2 import NSGA2  # noqa: E402
from pymoo.algorithms.moo.nsga3 import NSGA3  # noqa: E402
from pymoo.algorithms.moo.sms import SMSEMOA  # noqa: E402
from pymoo.algorithms.soo.nonconvex.de import DE  # noqa: E402
from pymoo.algorithms.soo.nonconvex.ga import GA  # noqa: E402
from pymoo.algorithms.soo.nonconvex.pso import PSO  # noqa: E402
from pymoo.core.evaluator import Evaluator  # noqa: E402
from pymoo.core.problem import Problem  # noqa: E402
from pymoo.core.termination import NoTermination  # noqa: E402
from pymoo.operators.crossover.sbx import SBX  # noqa: E402
from pymoo.operators.mutation.pm import PM  # noqa: E402
from pymoo.operators.selection.tournament import TournamentSelection  # noqa: E402
from pymoo.problems.static import StaticProblem  # noqa: E402
from pymoo.util.ref_dirs import get_reference_directions  # noqa: E402

__all__ = ["Evolution"]

Array = NDArray[np.float64]


class Evolution:
    """One of pymoo's algorithms.

    Args:
        name: ``ga``, ``de``, ``pso``, ``nsga2``, ``nsga3`` or ``smsemoa``.
        sizes: Number of genes, objectives, constraints.
        population: Genomes per batch. ``de`` and ``pso`` keep as many members as the first batch has.
        seed: Root of its random numbers.
        options: The algorithm's options, complete.
        first: The first batch, ``(n, n_var)``.

    Attributes:
        name: Which algorithm it is.
    """

    def __init__(
        self,
        name: str,
        sizes: tuple[int, int, int],
        population: int,
        seed: int,
        options: Mapping[str, float],
        first: Array,
    ) -> None:
        n_var, n_obj, n_con = sizes
        self.name = name
        self._problem = Problem(n_var=n_var, n_obj=n_obj, n_ieq_constr=n_con, xl=np.zeros(n_var), xu=np.ones(n_var))
        self._algorithm = _algorithm(name, n_obj, population, options, first)
        # The termination of pymoo is not used: budgets are the loop's, and its default would stop on noise.
        self._algorithm.setup(self._problem, termination=NoTermination(), seed=[seed, *name.encode()])
        self._asked: Any = None

    def ask(self) -> Array:
        """The next batch; empty when mating finds nothing but copies of the population."""
        if self._asked is not None:
            raise RuntimeError("ask was called twice; tell the values of the last batch first")
        population = self._algorithm.ask()
        if population is None or len(population) == 0:
            self._algorithm.termination.force_termination = False
            return np.zeros((0, self._problem.n_var))
        self._asked = population
        return np.array(population.get("X"), dtype=np.float64)

    def tell(self, F: Array, G: Array) -> None:
        """Values of the last batch."""
        if self._asked is None:
            raise RuntimeError("tell was called without an ask")
        population, self._asked = self._asked, None
        values = StaticProblem(self._problem, F=np.asarray(F), G=np.asarray(G).reshape(len(population), -1))
        Evaluator().eval(values, population)
        self._algorithm.tell(infills=population)


def _algorithm(name: str, n_obj: int, population: int, options: Mapping[str, float], first: Array) -> Any:
    if name == "de":
        return DE(
            pop_size=len(first),
            sampling=first,
            variant="DE/rand/1/bin",
            F=options["weight"],
            CR=options["crossover"],
        )
    if name == "pso":
        return PSO(
            pop_size=len(first),
            sampling=first,
            w=options["inertia"],
            c1=options["cognitive"],
            c2=options["social"],
        )
    shared = {
        "pop_size": population,
        "sampling": first,
        "crossover": SBX(prob=options["crossover_probability"], eta=options["crossover_eta"]),
        "mutation": PM(prob=options["mutation_probability"], eta=options["mutation_eta"]),
    }
    if name == "nsga3":
        return NSGA3(
            ref_dirs=_directions(n_obj, population), selection=TournamentSelection(func_comp=_feasible_first), **shared
        )
    return {"ga": GA, "nsga2": NSGA2, "smsemoa": SMSEMOA}[name](**shared)


def _directions(n_obj: int, population: int) -> Array:
    """The finest regular grid of directions with no more of them than there are members (Das & Dennis 1998)."""
    parts = 1
    while comb(parts + n_obj, n_obj - 1) <= population:
        parts += 1
    return np.asarray(get_reference_directions("das-dennis", n_obj, n_partitions=parts))


def _feasible_first(pop: Any, P: NDArray[np.int_], random_state: np.random.Generator, **_: Any) -> NDArray[np.int_]:
    """NSGA-III's tournament: less violation wins, else a coin decides (Jain & Deb 2014).

    pymoo's own drops the generator where two members are equally infeasible, and then no run can be repeated.
    """
    winners = np.empty((len(P), 1), dtype=int)
    for row, (a, b) in enumerate(P):
        first, second = float(pop[a].CV[0]), float(pop[b].CV[0])
        coin = random_state.random() < 0.5
        winners[row] = a if first < second or (first == second and coin) else b
    return winners
