"""NSGA-II (Deb et al. 2002), from pymoo."""

from __future__ import annotations

from evomerge.search.searchers._shared.protocol import Problem, Searcher
from evomerge.search.searchers._shared.spec import SEVERAL, SearcherSettings, SearcherSpec
from evomerge.search.searchers._shared.variation import VARIATION


def make(problem: Problem, settings: SearcherSettings) -> Searcher:
    """Makes the searcher."""
    from evomerge.search.searchers._shared.pymoo_adapter import genetic

    return genetic(SEARCHER.name, "moo.nsga2.NSGA2", problem, settings)


SEARCHER = SearcherSpec(
    name="nsga2",
    title="NSGA-II: non-dominated sorting and crowding distance (Deb et al. 2002, doi:10.1109/4235.996017)",
    objectives=SEVERAL,
    constraints="native",
    handling="feasible before infeasible, then less violation",
    make=make,
    options=VARIATION,
    partial=True,
    retell=True,
)
