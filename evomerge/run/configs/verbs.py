"""Configurations of the verbs beside ``search``: frozen values whose fields declare the keys of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evomerge.candidate.settings import RuntimeSettings
from evomerge.evaluation import SPLITS
from evomerge.fitness.settings import FitnessSettings
from evomerge.recipe import EMBEDDINGS, TOKENIZERS, UNMATCHED, ModelRef
from evomerge.run.run_config import EMBEDDINGS_HELP, OFFLINE, SEED, TOKENIZER_HELP, UNMATCHED_HELP
from evomerge.settings import section, setting
from evomerge.statistics import StatisticsSettings

OUT_FOLDER = setting("the folder to make")
SHARD_SIZE = setting("largest file, such as 5GB", low=1, form="bytes")
STATISTICS_FOLDER = setting(
    "folder of collected statistics; null: evomerge/statistics in the user's cache", key="statistics.folder"
)
KEPT = section(
    omit=("dam", "gram_limit", "sequences", "tokens")
)  # where statistics are kept, for verbs of one kind of them
READ_TEXTS = setting(
    "JSONL files with texts: lines with text, prompt and answer, or messages; none: the search items of tasks with "
    "their right answers",
    form="paths",
)
READ_TASKS = section()  # the tasks whose search items are read, and whose other items are refused
RUN_FOLDER = setting("a run's folder")


@dataclass(frozen=True)
class EvaluateConfig:
    """The configuration of ``evaluate``; fields mean what they mean in :class:`RunConfig`."""

    model: ModelRef = field(metadata=setting("the model or LoRA adapter: a folder or a hub id", form="checkpoint"))
    fitness: FitnessSettings = field(
        default_factory=FitnessSettings, metadata=section(omit=("items_per_task", "test_items_per_task"))
    )
    split: str = field(default="test", metadata=setting("which items", choices=(*SPLITS, "all")))
    items_per_task: int | None = field(default=None, metadata=setting("items per task; null: all", low=1))
    seed: int = field(default=0, metadata=SEED)
    offline: bool | None = field(default=None, metadata=OFFLINE)
    out: str | None = field(default=None, metadata=setting("a JSON file for the scores and answers"))
    runtime: RuntimeSettings = field(default_factory=RuntimeSettings, metadata=section("model"))


@dataclass(frozen=True)
class MergeConfig:
    """The configuration of ``merge``."""

    recipe: str = field(metadata=setting("a recipe: recipe.json, or mergekit's YAML"))
    out: str = field(metadata=OUT_FOLDER)
    max_shard_size: int = field(default=5_000_000_000, metadata=SHARD_SIZE)
    offline: bool | None = field(default=None, metadata=OFFLINE)
    device: str = field(default="cpu", metadata=setting("where tensors are merged: cpu, cuda, ..."))
    statistics: str | None = field(default=None, metadata=STATISTICS_FOLDER)
    unmatched: str | None = field(
        default=None, metadata=setting(f"{UNMATCHED_HELP}; null: what the recipe says, or refuse", choices=UNMATCHED)
    )
    embeddings: str | None = field(
        default=None, metadata=setting(f"{EMBEDDINGS_HELP}; null: what the recipe says, or merge", choices=EMBEDDINGS)
    )
    tokenizer: str | None = field(
        default=None, metadata=setting(f"{TOKENIZER_HELP}; null: what the recipe says", choices=TOKENIZERS)
    )


def transform_names() -> tuple[str, ...]:
    """Names of the transformations: the files of their folder, read without importing any."""
    folder = Path(__file__).resolve().parents[2] / "transforms"
    return tuple(sorted(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_")))


@dataclass(frozen=True)
class TransformConfig:
    """The configuration of ``transform``; models and base are as in :class:`RunConfig`.

    Attributes:
        kind: Name of the transformation.
        models: The experts.
        base: The base, where there is one.
        out: The folder to make; of a model of each expert, the folder of their folders.
        options: Settings of the transformation, as given; it fills in the others.
        calibration: Files with texts for all experts; none: the search items of the tasks.
        calibration_of: Label of an expert to the file with texts of its own.
        fitness: The tasks of the searches that the models are to join, whose search items are read, and whose other
            items are refused.
        seed: Of those searches.
        statistics: Where statistics are kept, and what collecting them may take.
        max_shard_size: Largest weight file, bytes.
        offline: Whether the hub is out of bounds; None only before that is settled.
        device: Where models run.
    """

    kind: str = field(metadata=setting("what to make of the models", choices=transform_names))
    models: tuple[ModelRef, ...] = field(
        metadata=setting("the experts: folders or hub ids, of LoRA adapters too", form="checkpoints")
    )
    out: str = field(metadata=OUT_FOLDER)
    base: ModelRef | None = field(
        default=None, metadata=setting("the model that the others were fine-tuned from", form="checkpoint")
    )
    options: Mapping[str, Any] = field(
        default_factory=dict, metadata=setting("settings of the transformation: options.alpha=0.9")
    )
    calibration: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            "JSONL files with texts that all experts read: lines with text, or prompt and answer; none: the search "
            "items of tasks with their right answers",
            form="paths",
        ),
    )
    calibration_of: Mapping[str, Any] = field(
        default_factory=dict, metadata=setting("a model's own texts: calibration_of.MODEL=FILE.jsonl")
    )
    fitness: FitnessSettings = field(default_factory=FitnessSettings, metadata=section())
    seed: int = field(default=0, metadata=SEED)
    statistics: StatisticsSettings = field(default_factory=StatisticsSettings, metadata=section(omit=("dam",)))
    max_shard_size: int = field(default=5_000_000_000, metadata=SHARD_SIZE)
    offline: bool | None = field(default=None, metadata=OFFLINE)
    device: str = field(default="cpu", metadata=setting("where models run: cpu, cuda, ..."))


@dataclass(frozen=True)
class CompareConfig:
    """The configuration of ``compare``; models and base are as in :class:`RunConfig`."""

    models: tuple[ModelRef, ...] = field(
        metadata=setting("the models to compare: folders or hub ids, of LoRA adapters too", form="checkpoints")
    )
    base: ModelRef | None = field(
        default=None, metadata=setting("the model that the others were fine-tuned from", form="checkpoint")
    )
    out: str = field(default="comparison.html", metadata=setting("the page to write"))
    offline: bool | None = field(default=None, metadata=OFFLINE)


@dataclass(frozen=True)
class ExplainConfig:
    """The configuration of ``explain``."""

    recipe: str = field(metadata=setting("a recipe: recipe.json, or mergekit's YAML"))
    tensor: str = field(metadata=setting("a tensor's name in the files of the merged model"))
    offline: bool | None = field(default=None, metadata=OFFLINE)


@dataclass(frozen=True)
class ReportConfig:
    """The configuration of ``report``."""

    run: str = field(metadata=setting("the folder of a run, or of a sweep"))
    prefer: str | Mapping[str, Any] | None = field(
        default=None,
        metadata=setting(
            "whom the findings are about, of a run's finalists: weights:0.7,0.3, {t1.acc: 0.7, t2.acc: 0.3} or "
            "reference:0.6,0.5; null: the knee",
            form="text or mapping",
        ),
    )


@dataclass(frozen=True)
class MethodsConfig:
    """The configuration of ``methods``."""

    name: str | None = field(default=None, metadata=setting("one method, with all of its options; null: all methods"))
    json: str | None = field(default=None, metadata=setting("a JSON file for the same as data"))
    markdown: str | None = field(default=None, metadata=setting("a Markdown file for the table of all methods"))


@dataclass(frozen=True)
class ExportConfig:
    """The configuration of ``export``."""

    run: str = field(metadata=RUN_FOLDER)
    member: str | Mapping[str, Any] = field(
        metadata=setting(
            "an id from front.json, knee, best:TASK, weights:0.7,0.3, {t1.acc: 0.7, t2.acc: 0.3}, reference:0.6,0.5, "
            "an elite, cell:3-7, or recommended, what the searcher recommends beside its candidates",
            form="text or mapping",
        )
    )
    out: str = field(metadata=OUT_FOLDER)
    max_shard_size: int = field(default=5_000_000_000, metadata=SHARD_SIZE)
    offline: bool | None = field(default=None, metadata=OFFLINE)
    trust_remote_code: bool = field(
        default=False, metadata=setting("run model code that comes with the checkpoints, if the run did")
    )
