"""Bayesian optimisation with Gaussian processes, fitted by Optuna."""

from __future__ import annotations

from evomerge.options import Option
from evomerge.search.searchers._shared.protocol import Problem, Searcher
from evomerge.search.searchers._shared.spec import ANY, SearcherSettings, SearcherSpec
from evomerge.search.searchers._shared.surrogates.modelled import POPULATION, STARTUP, memory

DELTAS = "deltas"


def make(problem: Problem, settings: SearcherSettings) -> Searcher:
    """Makes the searcher; where it is not known how far genes move the merge, it has no prior."""
    from evomerge.search.searchers._shared.surrogates.process import Process

    wanted = settings.options["prior"] == DELTAS
    return Process(SEARCHER.name, problem, settings, problem.reach if wanted else None)


SEARCHER = SearcherSpec(
    name="gp",
    title="Gaussian process with expected improvement, of hypervolume for several objectives (Ament et al. 2023, "
    "arXiv:2310.20708; Yang et al. 2019, arXiv:1904.12672)",
    objectives=ANY,
    constraints="native",
    handling="a process of the largest constraint gives the probability that a genome is feasible",
    make=make,
    options={
        "startup": STARTUP,
        "memory": memory(100),
        "prior": Option(
            "none",
            ("none", DELTAS),
            str,
            "length scales before anything is known: equal, or shorter where models differ more",
        ),
    },
    population=POPULATION,
    partial=True,
    retell=True,
    library="optuna",
)
