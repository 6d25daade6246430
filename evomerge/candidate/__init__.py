"""The inside of a worker: install a recipe, ask it items, say what came of it."""

from evomerge.candidate.functions import UserFunction, find_function
from evomerge.candidate.threads import available_cores, thread_choices
from evomerge.candidate.tuning import Tuning, resolve_dtype, tune, with_tuning
from evomerge.candidate.worker import (
    Worker,
    WorkerSettings,
    device_info,
    load_model,
    load_tokenizer,
    resolve_device,
    suite_digest,
    thread_count,
)

__all__ = [
    "Tuning",
    "UserFunction",
    "Worker",
    "WorkerSettings",
    "available_cores",
    "device_info",
    "find_function",
    "load_model",
    "load_tokenizer",
    "resolve_device",
    "resolve_dtype",
    "suite_digest",
    "thread_choices",
    "thread_count",
    "tune",
    "with_tuning",
]
