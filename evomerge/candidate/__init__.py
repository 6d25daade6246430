"""The inside of a worker: install a recipe, ask it items, say what came of it."""

import importlib
from typing import TYPE_CHECKING, Any

from evomerge.candidate.settings import ModelSettings, RuntimeSettings

if TYPE_CHECKING:
    from evomerge.candidate.collected import CollectedStatistics
    from evomerge.candidate.devices import (
        device_info,
        device_rooms,
        gpu_count,
        place_of,
        resolve_device,
        resolve_home,
        thread_count,
    )
    from evomerge.candidate.functions import UserFunction, find_function
    from evomerge.candidate.known_answers import ANSWERS, KnownAnswers
    from evomerge.candidate.loading import build_suite, load_live, load_model, load_tokenizer, model_files
    from evomerge.candidate.quantised import quantise
    from evomerge.candidate.threads import available_cores, thread_choices
    from evomerge.candidate.tuning import Tuning, resolve_dtype, tune, with_tuning
    from evomerge.candidate.verification import Verification, companion_digests
    from evomerge.candidate.versions import library_versions
    from evomerge.candidate.worker import Worker, WorkerSettings, suite_digest

__all__ = [
    "ANSWERS",
    "CollectedStatistics",
    "KnownAnswers",
    "ModelSettings",
    "RuntimeSettings",
    "Tuning",
    "UserFunction",
    "Verification",
    "Worker",
    "WorkerSettings",
    "available_cores",
    "build_suite",
    "companion_digests",
    "device_info",
    "device_rooms",
    "find_function",
    "gpu_count",
    "library_versions",
    "load_live",
    "load_model",
    "load_tokenizer",
    "model_files",
    "place_of",
    "quantise",
    "resolve_device",
    "resolve_dtype",
    "resolve_home",
    "suite_digest",
    "thread_choices",
    "thread_count",
    "tune",
    "with_tuning",
]

# Imported when first asked for: they bring torch, which the room's settings do without.
_HOMES = {
    "ANSWERS": "known_answers",
    "CollectedStatistics": "collected",
    "KnownAnswers": "known_answers",
    "Tuning": "tuning",
    "UserFunction": "functions",
    "Verification": "verification",
    "Worker": "worker",
    "WorkerSettings": "worker",
    "available_cores": "threads",
    "build_suite": "loading",
    "companion_digests": "verification",
    "device_info": "devices",
    "device_rooms": "devices",
    "gpu_count": "devices",
    "find_function": "functions",
    "library_versions": "versions",
    "load_live": "loading",
    "load_model": "loading",
    "load_tokenizer": "loading",
    "model_files": "loading",
    "place_of": "devices",
    "quantise": "quantised",
    "resolve_device": "devices",
    "resolve_home": "devices",
    "resolve_dtype": "tuning",
    "suite_digest": "worker",
    "thread_choices": "threads",
    "thread_count": "devices",
    "tune": "tuning",
    "with_tuning": "tuning",
}


def __getattr__(name: str) -> Any:
    """Imports what is asked for from its file."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
