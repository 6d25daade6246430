"""Search: searchers that propose genomes, and the loop that has them scored, told, confirmed and kept.

`run` is the loop, `SearchPlan` what it is given; `searchers` has the algorithms and says how each treats constraints.
"""

from evomerge.search.loop import STATUS, run
from evomerge.search.plan import Budgets, ConfirmSettings, RepeatedFailures, ReplayError, SearchPlan, SearchResult
from evomerge.search.progress import Progress
from evomerge.search.scoring import Scoring
from evomerge.search.searchers import SEARCHERS, Searcher, SearcherFactory, SearcherSettings, factory, make

__all__ = [
    "SEARCHERS",
    "STATUS",
    "Budgets",
    "ConfirmSettings",
    "Progress",
    "RepeatedFailures",
    "ReplayError",
    "Scoring",
    "SearchPlan",
    "SearchResult",
    "Searcher",
    "SearcherFactory",
    "SearcherSettings",
    "factory",
    "make",
    "run",
]
