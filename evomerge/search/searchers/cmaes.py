"""CMA-ES (Hansen & Ostermeier 2001), from pycma. The only file that imports cma."""

from __future__ import annotations

from typing import Any

import cma
import numpy as np
from numpy.typing import NDArray

__all__ = ["CMAES"]

Array = NDArray[np.float64]


class CMAES:
    """Samples from a Gaussian that it fits to what was good, within the unit cube.

    The first batch is the given starts; the best of them becomes the first mean. Without starts the mean is the centre.
    When a strategy has converged, a new one begins at a random mean, as the budget is not its to leave. Infeasible
    genomes get a penalty: the worst feasible value seen so far plus their violation (Deb 2000), which ranks them after
    all feasible ones.

    Args:
        n_var: Number of genes.
        population: Genomes per batch; None for ``4 + 3 ln(n_var)``.
        random: Its random numbers.
        sigma: First standard deviation.
        starts: Genomes of the first batch, ``(k, n_var)``; ``k`` may be 0.
    """

    name = "cmaes"

    def __init__(
        self, n_var: int, population: int | None, random: np.random.Generator, sigma: float, starts: Array
    ) -> None:
        self._population = population or 4 + int(3 * np.log(n_var))
        self._random = random
        self._sigma = sigma
        self._starts = starts
        self._worst: float | None = None
        self._strategy: Any = None if len(starts) else self._begin(np.full(n_var, 0.5))
        self._asked: list[Array] | None = None

    def ask(self) -> Array:
        """The starts, then samples."""
        if self._asked is not None:
            raise RuntimeError("ask was called twice; tell the values of the last batch first")
        self._asked = list(self._starts) if self._strategy is None else self._strategy.ask()
        # The boundary transformation stays inside but for the last bit.
        return np.clip(np.array(self._asked, dtype=np.float64), 0.0, 1.0)

    def tell(self, F: Array, G: Array) -> None:
        """Values of the last batch."""
        if self._asked is None:
            raise RuntimeError("tell was called without an ask")
        asked, self._asked = self._asked, None
        values = self._penalised(
            np.asarray(F)[:, 0], np.maximum(np.asarray(G).reshape(len(asked), -1), 0.0).sum(axis=1)
        )
        if self._strategy is None:
            self._strategy = self._begin(asked[int(np.argmin(values))])
            return
        self._strategy.tell(asked, values.tolist())
        if self._strategy.stop():
            self._strategy = self._begin(self._random.random(len(asked[0])))

    def _penalised(self, values: Array, violation: Array) -> Array:
        feasible = violation <= 0.0
        if feasible.any():
            worst = float(values[feasible].max())
            self._worst = worst if self._worst is None else max(self._worst, worst)
        return np.where(feasible, values, (self._worst or 0.0) + violation)

    def _begin(self, mean: Array) -> Any:
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
