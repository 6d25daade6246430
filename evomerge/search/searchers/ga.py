"""Genetic algorithm for one objective, from pymoo."""

from __future__ import annotations

from evomerge.search.searchers._shared.protocol import Problem, Searcher
from evomerge.search.searchers._shared.spec import ONE, SearcherSettings, SearcherSpec
from evomerge.search.searchers._shared.variation import VARIATION


def make(problem: Problem, settings: SearcherSettings) -> Searcher:
    """Makes the searcher."""
    from evomerge.search.searchers._shared.pymoo_adapter import genetic

    return genetic(SEARCHER.name, "soo.nonconvex.ga.GA", problem, settings)


SEARCHER = SearcherSpec(
    name="ga",
    title="Genetic algorithm with elitist survival (Deb 2000, doi:10.1016/S0045-7825(99)00389-8)",
    objectives=ONE,
    constraints="native",
    handling="feasible before infeasible, then less violation (Deb 2000), in selection and survival",
    make=make,
    options=VARIATION,
    partial=True,
    retell=True,
)
