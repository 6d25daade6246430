"""The configuration of ``layers``, which says how much each layer of a model does."""

from __future__ import annotations

from dataclasses import dataclass, field

from evomerge.fitness.settings import FitnessSettings
from evomerge.recipe import ModelRef
from evomerge.run.configs.verbs import KEPT, READ_TASKS, READ_TEXTS
from evomerge.run.run_config import OFFLINE, SEED
from evomerge.settings import setting
from evomerge.statistics import StatisticsSettings


@dataclass(frozen=True)
class LayersConfig:
    """The configuration of ``layers``."""

    model: ModelRef = field(metadata=setting("the model: a folder or a hub id", form="checkpoint"))
    calibration: tuple[str, ...] = field(default=(), metadata=READ_TEXTS)
    fitness: FitnessSettings = field(default_factory=FitnessSettings, metadata=READ_TASKS)
    seed: int = field(default=0, metadata=SEED)
    out: str | None = field(
        default=None, metadata=setting("a YAML file for the block influence of each layer, for genome.influence")
    )
    sequences: int = field(default=64, metadata=setting("most texts", low=1))
    tokens: int = field(default=512, metadata=setting("most tokens of a text", low=2))
    statistics: StatisticsSettings = field(default_factory=StatisticsSettings, metadata=KEPT)
    device: str = field(default="cpu", metadata=setting("where texts are read: cpu, cuda, ..."))
    offline: bool | None = field(default=None, metadata=OFFLINE)
