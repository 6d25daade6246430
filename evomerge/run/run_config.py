"""The configuration of a search: a frozen value whose fields declare the keys of the command line."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from evomerge.candidate.settings import ModelSettings
from evomerge.executors import ExecutorSettings
from evomerge.fitness.settings import FitnessSettings
from evomerge.genome import GenomeSettings
from evomerge.recipe import EMBEDDINGS, TOKENIZERS, UNMATCHED, ModelRef
from evomerge.run import paths
from evomerge.search import (
    AllocationSettings,
    Budgets,
    ConfirmSettings,
    PromoteSettings,
    RoundSettings,
    SearcherSettings,
)
from evomerge.settings import as_json, from_json, section, setting
from evomerge.statistics import StatisticsSettings
from evomerge.tracking import TrackingSettings

SEED = setting("the one seed that everything random follows from", low=0, high=2**63 - 1)
OFFLINE = setting("never ask the hub; null: unless a hub id or a built-in task needs it")
UNMATCHED_HELP = (
    "tensors that not all models have in one shape: freeze: the reference's stay and others are left out; keep: others "
    "are copied too"
)

EMBEDDINGS_HELP = "input and output embeddings; base: the base's, whatever the other models' tokens are"
TOKENIZER_HELP = (
    "whose tokens the merged model has; reference: the reference's, embeddings merged row by row; base: the same, "
    "merged token by token; union: those of all models, token by token"
)
_POST = (
    "steps on any method's merged delta, [lines,{step: sparsify, density: 0.5}]: names, or mappings with options and "
    "values; STEP.NAME is searched where no value is given"
)
_CALIBRATION = (
    "texts for methods that read statistics of models, [FILE.jsonl] of objects with text, prompt and answer, or "
    "messages; none: the search items with their right answers"
)


def method_names() -> tuple[str, ...]:
    """Names of the merge methods: the files of their folder, read without importing any."""
    folder = Path(__file__).resolve().parent.parent / "methods"
    return tuple(sorted(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_")))


@dataclass(frozen=True)
class RunConfig:
    """The configuration of a search.

    Attributes:
        recipe: A recipe file whose numbers are searched; ``models``, ``base`` and ``method`` are then its own.
        models: The models to merge.
        base: What they were fine-tuned from.
        method: Name of the merge method.
        method_options: Its settings, as given; the method fills in the others.
        post: Steps after the merge as given: names, or mappings with options and values that are not searched.
        fitness: Tasks, prompts, splits and samples; ``task_path`` as written, and the seed is still the root seed's.
        objectives: As written; empty means one per task, or per function where there are no tasks.
        constraints: As written.
        safety: Task, or metric, to the points that it may lose against the base.
        measures: As written; empty means the objectives, or of one objective one measure per task.
        cells: Cells of an archive of elites along each measure.
        patterns: Pairs of module kind and regular expression over tensor names, tried before the built-in ones.
        layer_pattern: Finds the layer index in tensor names; None is the built-in one.
        unmatched: What becomes of tensors that not all models have.
        embeddings: Whether input and output embeddings are merged, or the base's.
        tokenizer: Whose tokens the merged models have, and whether embeddings are merged row by row.
        functions: The user's own metrics, ``FILE.py:NAME``.
        calibration: Files of texts that statistics of models are computed on; none: the search items.
        calibration_of: Files of texts of single models, by label.
        statistics: Where statistics are kept, and what collecting them may take.
        seed: The root seed.
        run_dir: The run's folder; None is ``runs/`` and the run's identity.
        start_from: A run whose front joins the initial population.
        start_sensitivity: Temperatures of Sens-Merging's softmax over experts, layer by layer, each one more start.
        start_temperature: Of the softmax over the experts' losses that weighs them in one more start; None: none.
        offline: Whether the hub is out of bounds; None only before that is settled.
        genome: The search space.
        searcher: The algorithm.
        allocation: Which of the search items candidates are asked; the seed is still the root seed's.
        executor: Where candidates are scored.
        model: How candidates are merged and run.
        budgets: When to stop.
        round: The rounds of the search, of which each later one merges the best of those before.
        promote: The promotion between search and confirmation.
        confirm: The confirmation that ends a search.
        tracking: What follows the search besides the run's own files.
        mode: Whether candidates are asked in batches, or one as soon as a worker is free.
        progress: How progress is shown.
        command: Words that repeat the run; not a part of the configuration itself.
        notes: What to tell people of the translation of another tool's file; no part of it either.
    """

    recipe: str | None = field(
        default=None,
        metadata=setting(
            "a recipe (JSON, mergekit's YAML) whose numbers are searched, starting from it; or a search of "
            "mergekit-evolve or Mergenetic"
        ),
    )
    models: tuple[ModelRef, ...] = field(
        default=(),
        metadata=setting("the models to merge: folders or hub ids, of LoRA adapters too", form="checkpoints"),
    )
    base: ModelRef | None = field(
        default=None, metadata=setting("the model that the others were fine-tuned from", form="checkpoint")
    )
    method: str = field(default="task_arithmetic", metadata=setting("how tensors are merged", choices=method_names))
    method_options: Mapping[str, Any] = field(
        default_factory=dict, metadata=setting("settings of the method, see `evomerge check`")
    )
    post: tuple[str | Mapping[str, Any], ...] = field(default=(), metadata=setting(_POST, form="steps"))
    fitness: FitnessSettings = field(default_factory=FitnessSettings, metadata=section())
    objectives: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            "what to improve: [t1.acc,t2.acc_norm], see below; none: the accuracy of each task, or without tasks each "
            "function",
            form="metrics",
        ),
    )
    constraints: tuple[str, ...] = field(
        default=(), metadata=setting("what must hold: ['all.acc >= base - 0.01']", form="metrics")
    )
    safety: Mapping[str, float] = field(
        default_factory=dict,
        metadata=setting(
            "tasks that may not get worse than the base by more than a point, [refusals], or so many, {refusals: 2}; a "
            "constraint for each",
            form="points",
        ),
    )
    measures: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            "what an archive of elites is spread over, for searchers that keep one: [t1.acc,'t2.acc from 0 to 0.75']; "
            "none: the objectives, or of a single one the accuracy of each task",
            form="metrics",
        ),
    )
    cells: int = field(
        default=10, metadata=setting("cells of an archive of elites along each measure", low=2, high=1000)
    )
    patterns: tuple[tuple[str, str], ...] = field(
        default=(),
        metadata=setting(
            "tensor names to module kinds, tried before the built-in ones: [[attention, 'mixer']]", form="patterns"
        ),
    )
    layer_pattern: str | None = field(
        default=None,
        metadata=setting("finds the layer index in tensor names; null: built in", form="regular expression"),
    )
    unmatched: str = field(default="refuse", metadata=setting(UNMATCHED_HELP, choices=UNMATCHED))
    embeddings: str = field(default="merge", metadata=setting(EMBEDDINGS_HELP, choices=EMBEDDINGS))
    tokenizer: str = field(default="reference", metadata=setting(TOKENIZER_HELP, choices=TOKENIZERS))
    functions: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            "your own metrics, FILE.py:NAME, called with (model, tokenizer); used as python.NAME; without tasks the "
            "model may be of any kind"
        ),
    )
    calibration: tuple[str, ...] = field(default=(), metadata=setting(_CALIBRATION, form="paths"))
    calibration_of: Mapping[str, str] = field(
        default_factory=dict,
        metadata=setting(
            "the same for single models: {A: a.jsonl}; a model that is not named has those of calibration"
        ),
    )
    statistics: StatisticsSettings = field(default_factory=StatisticsSettings, metadata=section())
    budgets: Budgets = field(default_factory=Budgets, metadata=section())
    round: RoundSettings = field(default_factory=RoundSettings, metadata=section())
    promote: PromoteSettings = field(default_factory=PromoteSettings, metadata=section())
    confirm: ConfirmSettings = field(default_factory=ConfirmSettings, metadata=section())
    seed: int = field(default=0, metadata=SEED)
    run_dir: str | None = field(default=None, metadata=setting("the run's folder; null: runs/ and the run's identity"))
    start_from: str | None = field(
        default=None, metadata=setting("another run's folder, whose front joins the initial population")
    )
    start_temperature: float | None = field(
        default=None,
        metadata=setting(
            "also start from experts weighted by softmax(-loss / this); null: not", form="positive number"
        ),
    )
    start_sensitivity: tuple[float, ...] = field(
        default=(),
        metadata=setting(
            "also start from experts weighted layer by layer by their sensitivity to their own texts, as Sens-Merging "
            "does, at these temperatures: [0.03,0.1,0.3]; []: not",
            form="numbers",
            low=0.001,
            high=100.0,
        ),
    )
    offline: bool | None = field(default=None, metadata=OFFLINE)
    genome: GenomeSettings = field(default_factory=GenomeSettings, metadata=section())
    searcher: SearcherSettings = field(default_factory=SearcherSettings, metadata=section())
    allocation: AllocationSettings = field(default_factory=AllocationSettings, metadata=section())
    executor: ExecutorSettings = field(default_factory=ExecutorSettings, metadata=section())
    model: ModelSettings = field(default_factory=ModelSettings, metadata=section())
    tracking: TrackingSettings = field(default_factory=TrackingSettings, metadata=section())
    mode: str = field(
        default="synchronous",
        metadata=setting(
            "asynchronous: a new candidate as soon as a worker is free, not a batch when all are done; for searchers "
            "that need no whole batches, and all items for every candidate",
            choices=("synchronous", "asynchronous"),
        ),
    )
    progress: str = field(
        default="auto",
        metadata=setting("live progress; auto: one line on a terminal", choices=("auto", "line", "lines", "none")),
    )
    command: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def asynchronous(self) -> bool:
        """Whether a new candidate is asked as soon as a worker is free."""
        return self.mode == "asynchronous"

    def to_json(self) -> dict[str, Any]:
        """The resolved configuration as a JSON object, for the manifest; without the command."""
        return as_json(self)


def child_seed(seed: int, name: str) -> int:
    """The seed of one use of randomness, so that none of them shifts another."""
    return int.from_bytes(hashlib.sha256(f"evomerge {name} {seed}".encode()).digest()[:4], "big")


def fitness_settings(fitness: FitnessSettings, seed: int) -> FitnessSettings:
    """The settings that items and prompts are built from.

    Args:
        fitness: As the user wrote them.
        seed: The root seed.
    """
    found = tuple(paths.resolve(path) for path in fitness.task_path)
    return replace(fitness, task_path=found, seed=child_seed(seed, "sample"))


def recorded_fitness(config: Mapping[str, Any]) -> FitnessSettings:
    """The same from a manifest's ``config``; one from before there was a choice had rule 1 and judged thinking."""
    known = {**config, "fitness": {"split_rule": 1, "think_end": None, **config["fitness"]}}
    return fitness_settings(from_json(FitnessSettings, known, "fitness."), config["seed"])
