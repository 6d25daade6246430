"""Particle swarm optimisation (Kennedy & Eberhart 1995), from pymoo."""

from __future__ import annotations

from evomerge.options import Option
from evomerge.search.searchers._shared.initial_population import initial_population
from evomerge.search.searchers._shared.protocol import Problem, Searcher
from evomerge.search.searchers._shared.spec import ONE, SearcherSettings, SearcherSpec


def make(problem: Problem, settings: SearcherSettings) -> Searcher:
    """Makes the searcher; it keeps as many particles as the initial population has."""
    from evomerge.search.searchers._shared.pymoo_adapter import algorithm
    from evomerge.search.searchers._shared.pymoo_searcher import PymooSearcher

    first = initial_population(problem, settings)
    made = algorithm(
        "soo.nonconvex.pso.PSO",
        pop_size=len(first),
        sampling=first,
        w=settings.options["inertia"],
        c1=settings.options["cognitive"],
        c2=settings.options["social"],
    )
    return PymooSearcher(SEARCHER.name, problem, settings.seed, made, paired=True)


SEARCHER = SearcherSpec(
    name="pso",
    title="Particle swarm with adaptive weights (Kennedy & Eberhart 1995, doi:10.1109/ICNN.1995.488968)",
    objectives=ONE,
    constraints="native",
    handling="feasible before infeasible, then less violation, for personal and global bests",
    make=make,
    options={
        "inertia": Option(0.9, None, float, "weight of a particle's velocity at the start", 0.0, 2.0),
        "cognitive": Option(2.0, None, float, "pull of the particle's own best at the start", 0.0, 4.0),
        "social": Option(2.0, None, float, "pull of the swarm's best at the start", 0.0, 4.0),
    },
    whole="its weights follow from how far apart all particles are at one time, and change when all have moved",
    retell=True,
)
