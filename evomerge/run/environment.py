"""The environment of a run: set before any library reads it, since these libraries read it once, on import.

Whether the hub is out of bounds is settled here too, for all that users leave it open for.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
from collections.abc import Iterable, Mapping
from typing import Any

from evomerge.recipe import Recipe
from evomerge.run.paths import is_hub_id

_OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE", "TRANSFORMERS_OFFLINE")
_ALWAYS = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MPLBACKEND": "Agg",
    "TOKENIZERS_PARALLELISM": "false",
}


def prepare(*, offline: bool, bars: bool = False) -> None:
    """Tells the Hugging Face libraries whether they may use the network, and worker processes through them.

    Args:
        offline: Whether the hub is out of bounds. A run that names a hub id leaves the user's own settings alone.
        bars: Whether downloads show their progress.
    """
    if bars:
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "0")
    for name, value in _ALWAYS.items():
        os.environ.setdefault(name, value)
    if offline:
        for name in _OFFLINE:
            os.environ[name] = "1"


def offline_for(sources: Iterable[str]) -> bool:
    """Whether the hub is out of bounds for models, where nobody says so: unless one is named by its hub id."""
    return not any(is_hub_id(source) for source in sources)


def offline_for_recipe(recipe: Recipe) -> bool:
    """The same for all checkpoints and adapters that a recipe names, those of recipes inside too."""
    return offline_for(ref.source for ref in recipe.references)


def offline_for_run(manifest: Mapping[str, Any]) -> bool:
    """The same for the models of a run that is to be exported from.

    Args:
        manifest: The run's. Where the run itself was offline its models were folders or in the cache, so names that
            look like hub ids are no reason to ask the hub.
    """
    if manifest.get("config", {}).get("offline") is True:
        return True
    models = [*manifest.get("models", []), manifest.get("base")]
    models += [model.get("on") for model in models if model]
    return offline_for(str(model.get("source")) for model in models if model)


def give_back_memory() -> None:
    """Returns what was freed to the system. The C library would keep much of it for its own later use."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):  # other C libraries have no such function
        ctypes.CDLL(None).malloc_trim(0)
