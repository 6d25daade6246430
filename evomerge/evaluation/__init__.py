"""Jobs for workers, their outcomes, and the evaluations that are made of them.

These values cross every border of the program (search to worker, worker to store, store to report) and know neither
who made them nor who will read them. A `Job` is asked of a worker, whose `Outcome` carries one `Response` per item; the
`Evaluation` of an `Ask` is a fold of responses into metrics.
"""

from evomerge.evaluation.ask import SPLITS, Ask
from evomerge.evaluation.baselines import BASE, EXPERT, SCALED, UNIFORM, expert_names
from evomerge.evaluation.drafts import DRAFTS_KEPT, Drafts
from evomerge.evaluation.items import PYTHON, PYTHON_ITEMS, ItemLists, count_items, item_set_digest
from evomerge.evaluation.json_text import JsonText, compact
from evomerge.evaluation.measure import Measure, keys_of
from evomerge.evaluation.objective import Constraint, Objective
from evomerge.evaluation.outcome import (
    ERROR_KINDS,
    LENGTH_METRICS,
    TOKENS,
    TRUNCATED,
    Failure,
    Job,
    Outcome,
    Response,
    Unusable,
)
from evomerge.evaluation.record import RECOMMENDED, Evaluation, Provenance, ResponseRef, ToldValues

__all__ = [
    "BASE",
    "DRAFTS_KEPT",
    "ERROR_KINDS",
    "EXPERT",
    "LENGTH_METRICS",
    "PYTHON",
    "PYTHON_ITEMS",
    "RECOMMENDED",
    "SCALED",
    "SPLITS",
    "TOKENS",
    "TRUNCATED",
    "UNIFORM",
    "Ask",
    "Constraint",
    "Drafts",
    "Evaluation",
    "Failure",
    "ItemLists",
    "Job",
    "JsonText",
    "Measure",
    "Objective",
    "Outcome",
    "Provenance",
    "Response",
    "ResponseRef",
    "ToldValues",
    "Unusable",
    "compact",
    "count_items",
    "expert_names",
    "item_set_digest",
    "keys_of",
]
