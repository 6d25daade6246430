"""Fitness: a model and items in, metrics and responses out.

``TaskSuite.build`` loads lm-eval tasks, splits their items and builds every request once; ``TaskSuite.score`` asks a
model whose weights may have changed since the last call. This room alone knows lm-eval.
"""

from evomerge.fitness.inference.answers import NonFiniteScore
from evomerge.fitness.inference.kv_cache import takes
from evomerge.fitness.inference.memory import logit_bytes
from evomerge.fitness.inference.probe import WHOLE, Sharing
from evomerge.fitness.inference.requests import Continuation, Generated, Likelihood, Prompt
from evomerge.fitness.inspection import TaskListing, inspect_tasks
from evomerge.fitness.settings import FitnessSettings
from evomerge.fitness.suite import MetricInfo, TaskSuite
from evomerge.fitness.tasks.isolated_rng import foreign_code

__all__ = [
    "WHOLE",
    "Continuation",
    "FitnessSettings",
    "Generated",
    "Likelihood",
    "MetricInfo",
    "NonFiniteScore",
    "Prompt",
    "Sharing",
    "TaskListing",
    "TaskSuite",
    "foreign_code",
    "inspect_tasks",
    "logit_bytes",
    "takes",
]
