"""Settings of statistics: where they are kept, and what collecting them may take."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from evomerge.settings import section, setting
from evomerge.statistics._fits.settings import SECTION, DamSettings


@dataclass(frozen=True)
class StatisticsSettings:
    """Where statistics are kept, and what collecting them may take.

    Attributes:
        folder: Where they are kept; None is the user's cache.
        memory: Most bytes of accumulators at one time; with less, more passes over the texts.
        gram_limit: Widest input that has a whole Gram matrix; wider ones have its diagonal.
        sequences: Most texts.
        tokens: Most tokens of a text.
        dam: How DAM's factors are fitted.
    """

    folder: str | None = field(
        default=None, metadata=setting("folder of collected statistics; null: evomerge/statistics in the user's cache")
    )
    memory: int = field(
        default=4_000_000_000,
        metadata=setting(
            "most memory for sums while statistics are collected, such as 4GB; with less there are more passes over "
            "the texts",
            form="bytes",
            low=1,
        ),
    )
    gram_limit: int = field(
        default=16384,
        metadata=setting("widest input that has a whole Gram matrix; wider ones have its diagonal alone", low=1),
    )
    sequences: int = field(default=256, metadata=setting("most calibration texts of a model", low=1))
    tokens: int = field(default=512, metadata=setting("most tokens of a calibration text; longer ones are cut", low=2))

    dam: DamSettings = field(default_factory=DamSettings, metadata=section(SECTION))

    @property
    def path(self) -> Path:
        """The folder."""
        return default_folder() if self.folder is None else Path(self.folder).expanduser()


def default_folder() -> Path:
    """The folder of statistics in the user's cache."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "evomerge" / "statistics"
