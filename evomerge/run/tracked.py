"""A run as trackers see it: its name in them, kept in its folder, and what they are given."""

from __future__ import annotations

import contextlib
import secrets
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evomerge import tracking
from evomerge.evaluation import Objective
from evomerge.run.run_config import RunConfig
from evomerge.store import RunStore
from evomerge.tracking import TrackedRun, Tracking

__all__ = ["FOLDER", "conclude", "follow", "warned"]

FOLDER = "tracking"
_RUN = f"{FOLDER}/run.json"


def follow(
    store: RunStore, config: RunConfig, objectives: Sequence[Objective], warn: Callable[[str], None]
) -> Tracking:
    """Starts the trackers that were chosen.

    Args:
        store: The run, open for writing.
        config: Its configuration.
        objectives: What it improves.
        warn: Told of a tracker that fails, once.
    """

    def failed(text: str) -> None:
        with contextlib.suppress(Exception):  # what is wrong with the folder itself is for its writers to tell
            store.log_event({"event": "warning", "time": datetime.now(UTC).isoformat(), "message": text[:500]})
        warn(text)

    given = config.tracking.options
    specs = [tracking.load(name) for name in config.tracking.trackers]
    chosen = [(spec, spec.complete(given.get(spec.name, {}))) for spec in specs]
    # How trackers are reached is theirs to know, and no part of what they show.
    shown = {name: value for name, value in config.to_json().items() if name != "tracking_options"}
    settings = tracking.flattened(shown)
    run = TrackedRun(_id(store) if chosen else "", store.folder.resolve().name, store.folder / FOLDER, settings)
    return Tracking(run, chosen, objectives, failed)


def conclude(followed: Tracking, store: RunStore, report: Sequence[Path]) -> None:
    """Gives trackers the report that was just written, and the scores in it."""
    followed.conclude(store.read_json("front.json") or {}, report)


def warned(text: str) -> None:
    """Python's own way to warn, for those who are not told otherwise."""
    warnings.warn(text, RuntimeWarning, stacklevel=2)


def _id(store: RunStore) -> str:
    """The run's name in trackers: kept for later sessions, and random, as two folders may hold runs of one identity."""
    kept: dict[str, Any] = store.read_json(_RUN) or {}
    if "id" not in kept:
        kept = {"id": secrets.token_hex(8)}
        store.write_json(_RUN, kept)
    return str(kept["id"])
