"""CMA-ES (Hansen & Ostermeier 2001), from pycma. The only file that imports cma, and only when a searcher is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evomerge.options import Option
from evomerge.search.searchers._shared.generational import Generational, Parents
from evomerge.search.searchers._shared.initial_population import generator
from evomerge.search.searchers._shared.protocol import Array, Problem, Searcher, Selection
from evomerge.search.searchers._shared.spec import ONE, SearcherSettings, SearcherSpec

__all__ = ["CMAES", "SEARCHER"]

_RECOMMENDED = 2  # strategies that have converged, whose means are recommended


class CMAES(Generational):
    """Samples from a Gaussian that it fits to what was good, within the unit cube.

    The initial population is the given starts, the best of them the first mean. Without starts the mean is the centre.
    When a strategy has converged, a new one begins at a random mean, as the budget is not its to leave. Infeasible
    genomes get a penalty: the worst feasible value seen so far plus their violation (Deb 2000), which ranks them after
    all feasible ones. It learns from whole samples: ranks, weights and step size are those of genomes drawn from the
    Gaussian as it is, and values that come when it has moved on would be of another one. Its recommendation is the
    mean, not the best genome drawn, which under noise is a lucky one.

    Args:
        problem: The problem, of one objective.
        population: Genomes per batch; None for ``4 + 3 ln(n_var)``.
        random: Its random numbers.
        sigma: First standard deviation.
    """

    def __init__(self, problem: Problem, population: int | None, random: np.random.Generator, sigma: float) -> None:
        super().__init__("cmaes")
        self._population = population or 4 + int(3 * np.log(problem.n_var))
        self._random = random
        self._sigma = sigma
        self._starts = problem.starts
        self._n_var = problem.n_var
        self._worst: float | None = None
        self._strategy: Any = None if len(problem.starts) else self._begin(np.full(problem.n_var, 0.5))
        self._asked: list[Array] = []
        self._converged: list[Array] = []  # means of the strategies that have ended

    def propose(self) -> tuple[Array, Parents]:
        """The starts, then samples; nobody has parents."""
        self._asked = list(self._starts) if self._strategy is None else self._strategy.ask()
        # The boundary transformation stays inside but for the last bit.
        return np.clip(np.array(self._asked, dtype=np.float64), 0.0, 1.0), ()

    def learn(self, ids: Sequence[str], F: Array, G: Array) -> None:
        """Moves the Gaussian, or begins it at the best start."""
        values = self._penalised(F[:, 0], np.maximum(G, 0.0).sum(axis=1))
        if self._strategy is None:
            self._strategy = self._begin(self._asked[int(np.argmin(values))])
            return
        self._strategy.tell(self._asked, values.tolist())
        if self._strategy.stop():
            self._converged.append(self._mean())
            self._strategy = self._begin(self._random.random(len(self._asked[0])))

    def selection(self) -> Selection:
        """The parents are the better half of a sample, of the starts the best one; nobody is kept."""
        return Selection(places=1 if self._strategy is None else int(self._strategy.sp.weights.mu))

    def recommend(self) -> Array:
        """The mean of the strategy at work, once it has learnt, and those of the last two that have converged."""
        learnt = self._strategy is not None and self._strategy.countiter > 0
        means = [self._mean()] if learnt else []
        return np.array([*means, *self._converged[: -_RECOMMENDED - 1 : -1]]).reshape(-1, self._n_var)

    def _mean(self) -> Array:
        """The distribution's mean within the unit cube."""
        return np.clip(np.array(self._strategy.result.xfavorite, dtype=np.float64), 0.0, 1.0)

    def _penalised(self, values: Array, violation: Array) -> Array:
        feasible = violation <= 0.0
        if feasible.any():
            worst = float(values[feasible].max())
            self._worst = worst if self._worst is None else max(self._worst, worst)
        return np.where(feasible, values, (self._worst or 0.0) + violation)

    def _begin(self, mean: Array) -> Any:
        import cma

        settings = {
            "bounds": [0, 1],
            "popsize": self._population,
            "seed": np.nan,  # nan leaves numpy's global generator alone
            "randn": lambda *shape: self._random.standard_normal(shape),
            "verbose": -10,  # also keeps it from looking for a file of signals in the working folder
            "verb_log": 0,
        }
        if len(mean) == 1:
            settings["maxstd"] = (
                np.inf
            )  # its limit on deviations fails in one dimension, when a flat landscape widens it
        return cma.CMAEvolutionStrategy(mean, self._sigma, settings)


def make(problem: Problem, settings: SearcherSettings) -> Searcher:
    """Makes the searcher."""
    random = generator(settings.seed, "cmaes")
    return CMAES(problem, settings.population, random, settings.options["sigma"])


SEARCHER = SearcherSpec(
    name="cmaes",
    title="CMA-ES with restarts (Hansen & Ostermeier 2001, doi:10.1162/106365601750190398)",
    objectives=ONE,
    constraints="penalty",
    handling="the worst feasible value seen plus the violation, so after all feasible genomes",
    make=make,
    options={"sigma": Option(0.25, None, float, "first standard deviation, of genes in [0, 1]", 1e-6, 1.0)},
    population=None,
    whole="it ranks a sample drawn from the Gaussian as it is, and late values would be of one that has moved on",
)
