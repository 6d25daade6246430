"""What a search, and each of the smaller verbs, is told: frozen values, checked by ``validation``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from evomerge.recipe import CheckpointRef

Task = str | Mapping[str, Any]


@dataclass(frozen=True)
class Runtime:
    """How a model is run.

    Attributes:
        dtype: What it computes in; ``auto`` follows the weights and the machine.
        attention: transformers' name of the attention code.
        device: ``auto``, ``cpu``, ``cuda``, ...
        threads: Per worker; None is what the run began with, else what a short measurement says.
        trust_remote_code: Whether code that comes with a checkpoint may run.
    """

    dtype: str = "auto"
    attention: str = "sdpa"
    device: str = "auto"
    threads: int | None = None
    trust_remote_code: bool = False


@dataclass(frozen=True)
class ModelSettings(Runtime):
    """How candidates are merged and run.

    Attributes:
        out_dtype: What merged weights are rounded to, whatever the model computes in;
            ``auto`` is what the reference model is stored in.
        merge_dtype: What the inputs are read as.
        prepared_disk: Most bytes, in the run's folder, of what the method prepares.
        prepared_memory: The same in each worker's own memory.
    """

    out_dtype: str = "auto"
    merge_dtype: str = "float32"
    prepared_disk: int = 20_000_000_000
    prepared_memory: int = 4_000_000_000


@dataclass(frozen=True)
class SearcherChoice:
    """The algorithm.

    Attributes:
        name: One of the YAML files of the group ``searcher``; never ``auto``.
        population: Candidates per batch; None is the algorithm's own number.
        options: Further settings of the algorithm.
    """

    name: str
    population: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ExecutorChoice:
    """Where candidates are scored: ``local`` in this process, or ``processes``."""

    name: str = "local"
    workers: int = 1


@dataclass(frozen=True)
class BudgetSettings:
    """When to stop, besides the number of evaluations; None is no limit.

    Attributes:
        items: Scored items.
        seconds: Wall time.
        patience: Batches without improvement.
    """

    items: int | None = None
    seconds: float | None = None
    patience: int | None = None


@dataclass(frozen=True)
class ConfirmSettings:
    """How many members are scored on the test split."""

    finalists: int = 8


@dataclass(frozen=True)
class RunConfig:
    """Everything a search is told. README explains each field under the key of the same name.

    Attributes:
        models: The models to merge.
        base: What they were fine-tuned from.
        method: Name of the merge method.
        method_options: Its settings, as given; the method fills in the others.
        tasks: Names, or mappings that declare a task over a JSONL file.
        task_path: Where the user's own tasks are.
        objectives: As written; empty means one per task.
        constraints: As written.
        patterns: Pairs of module kind and regular expression over tensor names, tried before the built-in ones.
        layer_pattern: Finds the layer index in tensor names; None is the built-in one.
        functions: The user's own metrics, ``FILE.py:NAME``.
        evaluations: How many candidates to score; None leaves it to the other budgets.
        items_per_task: Items of the search split per task; None is all.
        test_items_per_task: The same for the test split.
        max_failures: So many failed candidates in a row end the run.
        seed: The root seed.
        run_dir: The run's folder; None is ``runs/`` and the run's identity.
        start_from: A run whose front joins the first batch.
        offline: Whether the hub is out of bounds.
        genome: Fields of ``GenomeSettings``.
        fitness: Fields of ``FitnessSettings`` that are not keys of their own.
        searcher: The algorithm.
        executor: Where candidates are scored.
        model: How candidates are merged and run.
        budgets: When to stop.
        confirm: The confirmation that ends a search.
        progress: How progress is shown.
        command: Words that repeat the run; not a part of the configuration itself.
    """

    models: tuple[CheckpointRef, ...]
    base: CheckpointRef | None
    method: str
    method_options: Mapping[str, Any]
    tasks: tuple[Task, ...]
    task_path: tuple[str, ...]
    objectives: tuple[str, ...]
    constraints: tuple[str, ...]
    patterns: tuple[tuple[str, str], ...]
    layer_pattern: str | None
    functions: tuple[str, ...]
    evaluations: int | None
    items_per_task: int | None
    test_items_per_task: int | None
    max_failures: int
    seed: int
    run_dir: str | None
    start_from: str | None
    offline: bool
    genome: Mapping[str, Any]
    fitness: Mapping[str, Any]
    searcher: SearcherChoice
    executor: ExecutorChoice
    model: ModelSettings
    budgets: BudgetSettings
    confirm: ConfirmSettings
    progress: str
    command: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The resolved configuration as a JSON object, for the manifest; without the command."""
        return _json({name: value for name, value in asdict(self).items() if name != "command"})


@dataclass(frozen=True)
class EvaluateConfig:
    """What ``evaluate`` is told; the fields mean what they mean in :class:`RunConfig`."""

    model: CheckpointRef
    tasks: tuple[Task, ...]
    task_path: tuple[str, ...]
    split: str
    items_per_task: int | None
    seed: int
    offline: bool
    out: str | None
    fitness: Mapping[str, Any]
    runtime: Runtime


@dataclass(frozen=True)
class MergeConfig:
    """What ``merge`` is told: a recipe's file, the folder to make, and how."""

    recipe: str
    out: str
    max_shard_size: str = "5GB"
    offline: bool = True
    device: str = "cpu"


@dataclass(frozen=True)
class ReportConfig:
    """What ``report`` is told: a run's folder."""

    run: str


@dataclass(frozen=True)
class ExportConfig:
    """What ``export`` is told: a run's folder, a member (an id, ``knee`` or ``best:TASK``), and the folder to make."""

    run: str
    member: str
    out: str
    max_shard_size: str = "5GB"
    offline: bool = True
    trust_remote_code: bool = False


def child_seed(seed: int, name: str) -> int:
    """The seed of one use of randomness, so that none of them shifts another."""
    return int.from_bytes(hashlib.sha256(f"evomerge {name} {seed}".encode()).digest()[:4], "big")


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _json(inner) for name, inner in value.items()}
    return [_json(inner) for inner in value] if isinstance(value, list | tuple) else value
