"""Search: searchers that propose genomes, and the loop that has them scored, told, confirmed and kept.

`run` is the loop, `SearchPlan` what it is given; `searchers` is the registry of algorithms.
"""

from evomerge.search.loop import STATUS, run
from evomerge.search.plan import Budgets, ConfirmSettings, RepeatedFailures, ReplayError, SearchPlan, SearchResult
from evomerge.search.progress import Progress
from evomerge.search.scoring import Scoring
from evomerge.search.searchers import Problem, Searcher, SearcherFactory, SearcherSettings, factory, make

__all__ = [
    "STATUS",
    "Budgets",
    "ConfirmSettings",
    "Problem",
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
