"""Differential evolution (Storn & Price 1997), from pymoo."""

from __future__ import annotations

from evomerge.options import Option
from evomerge.search.searchers._shared.initial_population import initial_population
from evomerge.search.searchers._shared.protocol import Problem, Searcher
from evomerge.search.searchers._shared.spec import ONE, SearcherSettings, SearcherSpec


def make(problem: Problem, settings: SearcherSettings) -> Searcher:
    """Makes the searcher; it keeps as many members as the initial population has."""
    from evomerge.search.searchers._shared.pymoo_adapter import algorithm
    from evomerge.search.searchers._shared.steady_de import SteadyDifferential

    first = initial_population(problem, settings)
    made = algorithm(
        "soo.nonconvex.de.DE",
        pop_size=len(first),
        sampling=first,
        variant="DE/rand/1/bin",
        F=settings.options["weight"],
        CR=settings.options["crossover"],
    )
    return SteadyDifferential(SEARCHER.name, problem, settings.seed, made)


SEARCHER = SearcherSpec(
    name="de",
    title="Differential evolution, DE/rand/1/bin (Storn & Price 1997, doi:10.1023/A:1008202821328)",
    objectives=ONE,
    constraints="native",
    handling="feasible before infeasible, then less violation, between target and trial",
    make=make,
    options={
        "weight": Option(0.7, None, float, "factor of the difference between two members", 0.0, 2.0),
        "crossover": Option(0.5, None, float, "probability that a gene comes from the donor", 0.0, 1.0),
    },
    partial=True,
    retell=True,
)
