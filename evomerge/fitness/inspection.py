"""Tasks looked at without a model: kinds, items, prompts, metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evomerge.evaluation import SPLITS
from evomerge.fitness.inference.encoding import DEFAULT_LENGTH, Encoder
from evomerge.fitness.settings import FitnessSettings
from evomerge.fitness.tasks.build import open_tasks


@dataclass(frozen=True)
class TaskListing:
    """One task, before anything is scored.

    Args:
        task: Its name.
        output_type: Its kind in lm-eval's words.
        total: Number of items it has.
        items: Number of items that will be asked, by split.
        num_fewshot: Examples in each prompt.
        metrics: Whether more is better, by metric name.
        sample: ``question``, ``options`` and ``gold`` of its first item.
        warnings: Sentences that people should read.
    """

    task: str
    output_type: str
    total: int
    items: Mapping[str, int]
    num_fewshot: int
    metrics: Mapping[str, bool]
    sample: Mapping[str, Any]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Inspection:
    """All tasks of a run, before anything is scored.

    Args:
        tasks: One listing per task.
        metrics: Whether more is better, by metric key, groups included.
        warnings: Of all tasks.
    """

    tasks: tuple[TaskListing, ...]
    metrics: Mapping[str, bool]
    warnings: tuple[str, ...]


def inspect_tasks(settings: FitnessSettings, tokenizer: Any = None) -> Inspection:
    """Loads the tasks and tells what a search on them would ask.

    Args:
        settings: What to score on.
        tokenizer: Renders chat templates; without one the sample prompts are plain.

    Returns:
        The tasks, their metrics and warnings.

    Raises:
        InputError: With everything that is wrong.
    """
    length, given = settings.max_length or DEFAULT_LENGTH, settings.chat_template_args
    encoder = None if tokenizer is None else Encoder(tokenizer, length, chat_arguments=given)
    opened = open_tasks(settings, encoder)
    items = opened.items
    listings = []
    for name, benchmark in opened.benchmarks.items():
        listings.append(
            TaskListing(
                task=name,
                output_type=benchmark.output_type,
                total=len(benchmark.items),
                items={split: len(items[split][name]) for split in SPLITS},
                num_fewshot=int(benchmark.task.get_config("num_fewshot") or 0),
                metrics=benchmark.metrics,
                sample=next(iter(benchmark.items.values())).description,
                warnings=tuple(benchmark.warnings),
            )
        )
    metrics = opened.groups.directions({listing.task: listing.metrics for listing in listings})
    warnings = tuple(warning for listing in listings for warning in listing.warnings)
    return Inspection(tuple(listings), metrics, warnings)
