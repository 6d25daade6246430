"""Configurations of ``build`` and ``condense``, which make mixtures of experts and make them smaller."""

from __future__ import annotations

from dataclasses import dataclass, field

from evomerge.fitness.settings import FitnessSettings
from evomerge.recipe import ModelRef
from evomerge.run.configs.verbs import KEPT, OUT_FOLDER, READ_TASKS, READ_TEXTS, SHARD_SIZE
from evomerge.run.run_config import OFFLINE, SEED
from evomerge.settings import setting
from evomerge.statistics import StatisticsSettings

PROMPTED = ("hidden", "hidden_mean", "embedding")
"""Ways in which routers begin that read prompts."""
GATES = (*PROMPTED, "random", "uniform")


@dataclass(frozen=True)
class BuildConfig:
    """The configuration of ``build``."""

    experts: tuple[ModelRef, ...] = field(
        metadata=setting("the models whose feed-forward blocks become the experts, in order", form="checkpoints")
    )
    out: str = field(metadata=OUT_FOLDER)
    base: ModelRef | None = field(
        default=None, metadata=setting("the model that everything else comes from", form="checkpoint")
    )
    recipe: str | None = field(
        default=None, metadata=setting("instead of base: a recipe, whose model everything else comes from")
    )
    gate: str = field(
        default="hidden",
        metadata=setting(
            "how routers begin; from prompts: hidden states at the last token, their mean, or embeddings; random; "
            "uniform: all experts alike, where per_token is their number",
            choices=GATES,
        ),
    )
    prompts: str | None = field(
        default=None,
        metadata=setting(
            "a JSON file: a list with {positive: [...], negative: [...]} for each expert: texts for it, and not for it"
        ),
    )
    per_token: int = field(default=2, metadata=setting("number of experts that a token goes through", low=1))
    statistics: StatisticsSettings = field(default_factory=StatisticsSettings, metadata=KEPT)
    seed: int = field(default=0, metadata=SEED)
    device: str = field(
        default="cpu", metadata=setting("where prompts are read and tensors are merged: cpu, cuda, ...")
    )
    max_shard_size: int = field(default=5_000_000_000, metadata=SHARD_SIZE)
    offline: bool | None = field(default=None, metadata=OFFLINE)


@dataclass(frozen=True)
class CondenseConfig:
    """The configuration of ``condense``."""

    model: ModelRef = field(
        metadata=setting("a mixture of experts: Mixtral, Qwen2-MoE or Qwen3-MoE", form="checkpoint")
    )
    experts: int = field(metadata=setting("number of experts that are left in each layer; 1: a dense model", low=1))
    out: str = field(metadata=OUT_FOLDER)
    calibration: tuple[str, ...] = field(default=(), metadata=READ_TEXTS)
    fitness: FitnessSettings = field(default_factory=FitnessSettings, metadata=READ_TASKS)
    seed: int = field(default=0, metadata=SEED)
    power: float = field(
        default=1.0,
        metadata=setting(
            "experts of a group count by how often they are used, to this power; 0: alike", low=0.0, high=16.0
        ),
    )
    sequences: int = field(default=256, metadata=setting("most texts", low=1))
    tokens: int = field(default=512, metadata=setting("most tokens of a text", low=2))
    statistics: StatisticsSettings = field(default_factory=StatisticsSettings, metadata=KEPT)
    device: str = field(default="cpu", metadata=setting("where texts are read: cpu, cuda, ..."))
    max_shard_size: int = field(default=5_000_000_000, metadata=SHARD_SIZE)
    offline: bool | None = field(default=None, metadata=OFFLINE)
