"""Scores one model on the tasks, exactly as a search scores its candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from evomerge.analysis import interval
from evomerge.candidate import build_suite, load_model, load_tokenizer, resolve_device, resolve_dtype, thread_count
from evomerge.checkpoints import locate, open_source
from evomerge.evaluation import SPLITS, Response
from evomerge.fitness import FitnessSettings, Scorer
from evomerge.run import paths
from evomerge.run.run_config import EvaluateConfig, fitness_settings


@dataclass(frozen=True)
class Scores:
    """Scores of one model.

    Attributes:
        metrics: Metric key to value.
        responses: The answers, item by item.
        ran: How the model ran: ``dtype``, ``attention``, ``device``, ``threads`` and ``prefixes`` (``shared`` or
            ``plain``).
    """

    metrics: dict[str, float]
    responses: list[Response]
    ran: dict[str, Any]


def evaluate(config: EvaluateConfig, warn: Callable[[str], None] = lambda _: None) -> Scores:
    """Scores one model on the chosen split, or on every item.

    Args:
        config: Model, tasks and split.
        warn: Told what people should know before they trust the scores.

    Raises:
        InputError: With everything that is wrong with model or tasks.
    """
    checkpoint = open_source(
        locate(paths.resolve(config.model.source), config.model.revision, offline=bool(config.offline))
    )
    runtime = config.runtime
    tokenizer = load_tokenizer(checkpoint.path, runtime.trust_remote_code)
    suite = build_suite(_settings(config), checkpoint, tokenizer)
    for warning in suite.warnings:
        warn(warning)
    device = resolve_device(runtime.device)
    dtype = resolve_dtype(runtime.dtype, checkpoint, device)
    model = load_model(
        checkpoint.path,
        dtype=dtype,
        attention=runtime.attention,
        device=device,
        threads=runtime.threads,
        trust_remote_code=runtime.trust_remote_code,
    )
    splits = (
        [split for split in SPLITS if any(suite.items[split].values())] if config.split == "all" else [config.split]
    )
    scorer = Scorer.of(model, suite)
    if reason := scorer.sharing.reason:
        warn(reason)
    responses = [response for split in splits for response in scorer.score(model, split)]
    ran = {
        "dtype": dtype,
        "attention": str(model.config._attn_implementation),
        "device": device,
        "threads": thread_count(),
        "prefixes": "shared" if scorer.sharing.share else "plain",
    }
    return Scores(suite.aggregate(responses), responses, ran)


def table(metrics: Mapping[str, float], responses: Sequence[Response]) -> list[dict[str, Any]]:
    """One row per metric: value, number of items, and where it is a mean over items its standard error and interval."""
    rows = []
    for key, value in metrics.items():
        task, _, name = key.rpartition(".")
        own = [response for response in responses if response.task == task]
        values = [response.metrics.get(name) for response in own]
        row: dict[str, Any] = {"metric": key, "value": value, "items": len(own) or len(responses)}
        numbers = [float(v) for v in values if isinstance(v, int | float)]
        if own and len(numbers) == len(own) and abs(sum(numbers) / len(numbers) - value) < 1e-9:
            found = asdict(interval(numbers, set(numbers) <= {0.0, 1.0}))
            row |= {name: found[name] for name in ("se", "low", "high")}
        rows.append(row)
    return rows


def _settings(config: EvaluateConfig) -> FitnessSettings:
    count = config.items_per_task
    settings = fitness_settings(replace(config.fitness, items_per_task=count, test_items_per_task=count), config.seed)
    if config.split == "all":
        # Every item once, whatever split it falls into.
        return replace(settings, splits={"search": 1.0, "selection": 0.0, "test": 0.0})
    return settings
