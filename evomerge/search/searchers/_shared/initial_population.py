"""Random generators of a searcher, and its initial population."""

from __future__ import annotations

import numpy as np

from evomerge.search.searchers._shared.protocol import Array, Problem
from evomerge.search.searchers._shared.spec import SearcherSettings

__all__ = ["generator", "initial_population"]


def generator(seed: int, purpose: str) -> np.random.Generator:
    """The random generator of one purpose; different purposes of one seed are independent."""
    return np.random.default_rng([seed, *purpose.encode()])


def initial_population(problem: Problem, settings: SearcherSettings) -> Array:
    """Distinct starts, filled up to the population with a Latin hypercube (McKay et al. 1979, doi:10.2307/1268522).

    Returns:
        Genomes ``(n, n_var)``; ``n`` exceeds the population where there are more starts than that.
    """
    random = generator(settings.seed, "first batch")  # the word of the first release: other words, other numbers
    kept = list(dict.fromkeys(row.tobytes() for row in problem.starts))
    rows = np.array([np.frombuffer(row) for row in kept]).reshape(len(kept), problem.n_var)
    missing = max((settings.population or 0) - len(rows), 0)
    cells = np.empty((missing, problem.n_var))
    for gene in range(problem.n_var):
        cells[:, gene] = random.permutation(missing)
    return np.concatenate([rows, (cells + random.random(cells.shape)) / max(missing, 1)])
