"""The environment of a run: set before any library reads it, since these libraries read it once, on import."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os

_OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE", "TRANSFORMERS_OFFLINE")
_ALWAYS = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MPLBACKEND": "Agg",
    "TOKENIZERS_PARALLELISM": "false",
}


def prepare(*, offline: bool) -> None:
    """Tells the Hugging Face libraries whether they may use the network, and worker processes through them.

    Args:
        offline: Whether the hub is out of bounds. A run that names a hub id leaves the user's own settings alone.
    """
    for name, value in _ALWAYS.items():
        os.environ.setdefault(name, value)
    if offline:
        for name in _OFFLINE:
            os.environ[name] = "1"


def give_back_memory() -> None:
    """Returns what was freed to the system. The C library would keep much of it for its own later use."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):  # other C libraries have no such function
        ctypes.CDLL(None).malloc_trim(0)
