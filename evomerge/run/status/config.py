"""The configuration of a look at runs; fields are declared as those of a search."""

from __future__ import annotations

from dataclasses import dataclass, field

from evomerge.settings import setting


@dataclass(frozen=True)
class StatusConfig:
    """The configuration of ``status``."""

    run: str = field(metadata=setting("a run's folder, or a sweep's"))
    watch: float | None = field(
        default=None,
        metadata=setting("seconds after which to look again, until the run has ended; null: once", low=0.1),
    )
    json: str | None = field(default=None, metadata=setting("a JSON file for the same as data"))
