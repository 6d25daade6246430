"""The tree-structured Parzen estimator (Bergstra et al. 2011), from Optuna."""

from __future__ import annotations

from evomerge.options import Option
from evomerge.search.searchers._shared.protocol import Problem, Searcher
from evomerge.search.searchers._shared.spec import ANY, SearcherSettings, SearcherSpec
from evomerge.search.searchers._shared.surrogates.modelled import POPULATION, STARTUP, memory


def make(problem: Problem, settings: SearcherSettings) -> Searcher:
    """Makes the searcher."""
    from evomerge.search.searchers._shared.surrogates.optuna_adapter import tpe

    return tpe(SEARCHER.name, problem, settings)


SEARCHER = SearcherSpec(
    name="tpe",
    title="Tree-structured Parzen estimator (Bergstra et al. 2011; several objectives: Ozaki et al. 2022, "
    "doi:10.1613/jair.1.13188)",
    objectives=ANY,
    constraints="native",
    handling="feasible before infeasible, then by the largest constraint, among the good ones",
    make=make,
    options={
        "startup": STARTUP,
        "memory": memory(200),
        "candidates": Option(24, None, int, "genomes drawn of the good ones' density for each proposal", 1, 10000),
    },
    population=POPULATION,
    partial=True,
    retell=True,
    library="optuna",
)
