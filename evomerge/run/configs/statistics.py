"""The configuration of ``evomerge statistics list`` and ``remove``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from evomerge.run.configs.verbs import STATISTICS_FOLDER
from evomerge.run.paths import expanded
from evomerge.settings import setting


@dataclass(frozen=True)
class StatisticsFolderConfig:
    """A folder of collected statistics, and some of them.

    Attributes:
        folder: The folder; None is the user's cache.
        keys: Beginnings of keys, or ``all``.
    """

    folder: str | None = field(default=None, metadata=STATISTICS_FOLDER)
    keys: tuple[str, ...] = field(
        default=(), metadata=setting("remove: beginnings of the keys of statistics, or [all]", key="key")
    )

    @property
    def path(self) -> Path:
        """The folder, where one is named."""
        return expanded(self.folder or "")
