"""Search: searchers that propose candidates, and the loop that has them scored, told, promoted, confirmed and kept.

`run` is the loop, `SearchPlan` what it is given; `searchers` is the registry of algorithms.
"""

from evomerge.search.allocation import AllocationSettings
from evomerge.search.criteria import Criteria, unfit_for_items
from evomerge.search.loop import run
from evomerge.search.plan import (
    Budgets,
    ConfirmSettings,
    EveryBaselineFailed,
    PromoteSettings,
    RepeatedFailures,
    ReplayError,
    SearchPlan,
    SearchResult,
)
from evomerge.search.progress import Progress
from evomerge.search.rounds.settings import RoundSettings, Space
from evomerge.search.rounds.watched import AtRound
from evomerge.search.searchers import (
    ExpertPool,
    ModelSpan,
    Problem,
    Searcher,
    SearcherFactory,
    SearcherSettings,
    factory,
    make,
)
from evomerge.search.status.stopwatch import STATUS

__all__ = [
    "STATUS",
    "AllocationSettings",
    "AtRound",
    "Budgets",
    "ConfirmSettings",
    "Criteria",
    "EveryBaselineFailed",
    "ExpertPool",
    "ModelSpan",
    "Problem",
    "Progress",
    "PromoteSettings",
    "RepeatedFailures",
    "ReplayError",
    "RoundSettings",
    "SearchPlan",
    "SearchResult",
    "Searcher",
    "SearcherFactory",
    "SearcherSettings",
    "Space",
    "factory",
    "make",
    "run",
    "unfit_for_items",
]
