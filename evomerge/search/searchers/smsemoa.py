"""SMS-EMOA (Beume et al. 2007), from pymoo."""

from __future__ import annotations

from evomerge.search.searchers._shared.protocol import Problem, Searcher
from evomerge.search.searchers._shared.spec import SEVERAL, SearcherSettings, SearcherSpec
from evomerge.search.searchers._shared.variation import VARIATION


def make(problem: Problem, settings: SearcherSettings) -> Searcher:
    """Makes the searcher."""
    from evomerge.search.searchers._shared.pymoo_adapter import genetic

    return genetic(SEARCHER.name, "moo.sms.SMSEMOA", problem, settings)


SEARCHER = SearcherSpec(
    name="smsemoa",
    title="SMS-EMOA: selection by hypervolume (Beume et al. 2007, doi:10.1016/j.ejor.2006.08.008)",
    objectives=SEVERAL,
    constraints="native",
    handling="feasible before infeasible, then less violation",
    make=make,
    options=VARIATION,
    partial=True,
    retell=True,
)
