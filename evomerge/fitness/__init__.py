"""Fitness: a model and items in, metrics and responses out.

``TaskSuite.build`` loads lm-eval tasks, splits their items and builds every request once; ``ModelTraits.probe`` finds
out how models of one architecture are read; a ``Scorer`` of both asks a model whose weights may have changed since the
last call. This room alone knows lm-eval.
"""

import importlib
from typing import TYPE_CHECKING, Any

from evomerge.fitness.settings import FitnessSettings

if TYPE_CHECKING:
    from evomerge.fitness.calibration import gold_texts, held_out_problems
    from evomerge.fitness.inference.generation.eligibility import PLAINLY
    from evomerge.fitness.inference.kv_cache import takes
    from evomerge.fitness.inference.memory import logit_bytes
    from evomerge.fitness.inference.packed_weights import packed_bytes
    from evomerge.fitness.inference.probe import WHOLE, Sharing
    from evomerge.fitness.inference.requests import Continuation, Generated, Likelihood, NonFiniteScore, Prompt
    from evomerge.fitness.inspection import TaskListing, inspect_tasks
    from evomerge.fitness.scorer import Scorer
    from evomerge.fitness.suite import MetricInfo, TaskSuite
    from evomerge.fitness.tasks.isolated_rng import isolated_rng
    from evomerge.fitness.tasks.loader import forget_tables
    from evomerge.fitness.traits import ModelTraits

__all__ = [
    "PLAINLY",
    "WHOLE",
    "Continuation",
    "FitnessSettings",
    "Generated",
    "Likelihood",
    "MetricInfo",
    "ModelTraits",
    "NonFiniteScore",
    "Prompt",
    "Scorer",
    "Sharing",
    "TaskListing",
    "TaskSuite",
    "forget_tables",
    "gold_texts",
    "held_out_problems",
    "inspect_tasks",
    "isolated_rng",
    "logit_bytes",
    "packed_bytes",
    "takes",
]

# Imported when first asked for: they bring torch, which the room's settings do without.
_HOMES = {
    "Continuation": "inference.requests",
    "Generated": "inference.requests",
    "Likelihood": "inference.requests",
    "MetricInfo": "suite",
    "ModelTraits": "traits",
    "NonFiniteScore": "inference.requests",
    "PLAINLY": "inference.generation.eligibility",
    "Prompt": "inference.requests",
    "Scorer": "scorer",
    "Sharing": "inference.probe",
    "TaskListing": "inspection",
    "TaskSuite": "suite",
    "WHOLE": "inference.probe",
    "forget_tables": "tasks.loader",
    "gold_texts": "calibration",
    "held_out_problems": "calibration",
    "isolated_rng": "tasks.isolated_rng",
    "inspect_tasks": "inspection",
    "logit_bytes": "inference.memory",
    "packed_bytes": "inference.packed_weights",
    "takes": "inference.kv_cache",
}


def __getattr__(name: str) -> Any:
    """Imports what is asked for from its file."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
