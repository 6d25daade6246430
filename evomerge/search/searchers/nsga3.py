"""NSGA-III (Deb & Jain 2014; constraints: Jain & Deb 2014), from pymoo."""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.search.searchers._shared.protocol import Problem, Searcher
from evomerge.search.searchers._shared.spec import SEVERAL, SearcherSettings, SearcherSpec
from evomerge.search.searchers._shared.variation import VARIATION


def make(problem: Problem, settings: SearcherSettings) -> Searcher:
    """Makes the searcher, with the finest grid of directions that has no more of them than there are members."""
    from evomerge.search.searchers._shared.pymoo_adapter import genetic, reference_directions, tournament

    partitions = 1
    while comb(partitions + problem.n_obj, problem.n_obj - 1) <= (settings.population or 0):
        partitions += 1
    return genetic(
        SEARCHER.name,
        "moo.nsga3.NSGA3",
        problem,
        settings,
        ref_dirs=reference_directions(problem.n_obj, partitions),
        selection=tournament(_feasible_first),
    )


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


SEARCHER = SearcherSpec(
    name="nsga3",
    title="NSGA-III: reference directions, made for three and more (Deb & Jain 2014, doi:10.1109/TEVC.2013.2281535)",
    objectives=SEVERAL,
    constraints="native",
    handling="feasible before infeasible, then less violation",
    make=make,
    options=VARIATION,
    partial=True,
    retell=True,
)
