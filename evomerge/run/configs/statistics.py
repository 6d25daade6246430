"""The configurations of ``evomerge statistics``: a folder of what is kept, and statistics of one model by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evomerge.fitness.settings import FitnessSettings
from evomerge.recipe import ModelRef
from evomerge.run.configs.verbs import KEPT, READ_TASKS, READ_TEXTS, STATISTICS_FOLDER
from evomerge.run.paths import expanded
from evomerge.run.run_config import OFFLINE, SEED
from evomerge.settings import setting
from evomerge.statistics import StatisticsSettings


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


def statistic_names() -> tuple[str, ...]:
    """Names of the statistics of single models: the files of their folder, read without importing any."""
    folder = Path(__file__).resolve().parents[2] / "statistics"
    return tuple(sorted(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_")))


@dataclass(frozen=True)
class CollectConfig:
    """The configuration of ``statistics collect`` where statistics are named, rather than what a search reads.

    Attributes:
        model: The model.
        statistic: Names of the statistics.
        calibration: Files with texts; none: the search items of the tasks.
        fitness: The tasks whose search items are read, and whose other items are refused.
        seed: Of the searches that have these items.
        options: Options of the statistics, as given; each takes those that it has.
        sequences: Most texts.
        tokens: Most tokens of a text.
        statistics: Where statistics are kept, and what collecting them may take.
        device: Where texts are read.
        offline: Whether the hub is out of bounds; None only before that is settled.
    """

    model: ModelRef = field(metadata=setting("the model: a folder or a hub id", form="checkpoint"))
    statistic: tuple[str, ...] = field(metadata=setting("the statistics to collect", choices=statistic_names))
    calibration: tuple[str, ...] = field(default=(), metadata=READ_TEXTS)
    fitness: FitnessSettings = field(default_factory=FitnessSettings, metadata=READ_TASKS)
    seed: int = field(default=0, metadata=SEED)
    options: Mapping[str, Any] = field(
        default_factory=dict,
        metadata=setting("options of the statistics, each of which takes those that it has: options.per_token=2"),
    )
    sequences: int = field(default=256, metadata=setting("most texts", low=1))
    tokens: int = field(default=512, metadata=setting("most tokens of a text; longer ones are cut", low=2))
    statistics: StatisticsSettings = field(default_factory=StatisticsSettings, metadata=KEPT)
    device: str = field(default="cpu", metadata=setting("where texts are read: cpu, cuda, ..."))
    offline: bool | None = field(default=None, metadata=OFFLINE)
