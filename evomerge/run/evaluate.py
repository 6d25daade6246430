"""Scores one model on the tasks, exactly as a search scores its candidates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from evomerge.analysis import Interval, interval, is_binary
from evomerge.candidate import (
    build_suite,
    load_live,
    load_tokenizer,
    place_of,
    quantise,
    resolve_dtype,
    resolve_home,
    thread_count,
)
from evomerge.checkpoints import CheckpointSource, open_all
from evomerge.errors import Findings
from evomerge.evaluation import SPLITS, Response
from evomerge.fitness import FitnessSettings, Scorer, TaskSuite, inspect_tasks
from evomerge.merging import Checkpoints, Merger
from evomerge.recipe import AdapterRef
from evomerge.run.configs.verbs import EvaluateConfig
from evomerge.run.recipes.models import Folders, as_adapter, other_bases
from evomerge.run.recipes.space import alone
from evomerge.run.run_config import fitness_settings


@dataclass(frozen=True)
class Scores:
    """Scores of one model.

    Attributes:
        metrics: Metric key to value.
        responses: The answers, item by item.
        items: The items that were asked, by id, as ``items.json`` of a run says it.
        cluster_fields: Task to the field by which its items belong together.
        ran: How the model ran: ``dtype``, ``attention``, ``device``, ``threads`` and ``prefixes`` (``shared`` or
            ``plain``).
    """

    metrics: dict[str, float]
    responses: list[Response]
    items: dict[str, dict[str, Any]]
    cluster_fields: dict[str, str]
    ran: dict[str, Any]

    @property
    def clusters(self) -> dict[str, str]:
        """Cluster of each item that belongs to one."""
        return {item: entry["cluster"] for item, entry in self.items.items() if entry["cluster"] is not None}


def evaluate(config: EvaluateConfig, warn: Callable[[str], None] = lambda _: None) -> Scores:
    """Scores one model on the chosen split, or on every item.

    Args:
        config: Model, tasks and split.
        warn: Told what people should know before they trust the scores.

    Raises:
        InputError: With everything that is wrong with model or tasks.
    """
    found, runtime = Findings(), config.runtime
    device = found.attempt(lambda: resolve_home(runtime))
    checkpoints = found.attempt(lambda: _open(config))
    if checkpoints is None:
        found.attempt(lambda: inspect_tasks(_settings(config)))
        found.settle()
        raise AssertionError("a model that cannot be opened is a problem that settle reports")
    checkpoint = checkpoints.reference
    suite = found.attempt(lambda: _suite(config, checkpoint))
    found.settle()
    if device is None or suite is None:
        raise AssertionError("a stage that failed has reported a problem")
    for warning in (*suite.warnings, *other_bases(checkpoints)):
        warn(warning)
    dtype = resolve_dtype(runtime.dtype, checkpoint, device)
    live = load_live(
        checkpoint.path,
        dtype=dtype,
        attention=runtime.attention,
        device=place_of(device, runtime.device_map, runtime.max_memory),
        threads=runtime.threads,
        trust_remote_code=runtime.trust_remote_code,
    )
    for ref in checkpoints.by_ref:
        if isinstance(ref, AdapterRef):
            live.install(Merger(checkpoints, device=device), alone(ref, checkpoints))
    model = live.model
    quantise(model, runtime.quantise)
    splits = (
        [split for split in SPLITS if any(suite.items[split].values())] if config.split == "all" else [config.split]
    )
    scorer = Scorer.of(model, suite)
    for told in (scorer.sharing, scorer.traits.drafting):
        if told is not None and told.reason:
            warn(told.reason)
    responses = [response for split in splits for response in scorer.score(model, split)]
    ran = {
        "dtype": dtype,
        **({"quantise": runtime.quantise} if runtime.quantise != "none" else {}),
        "attention": str(model.config._attn_implementation),
        "device": device,
        "threads": thread_count(),
        "prefixes": "shared" if scorer.sharing.share else "plain",
    }
    items = {response.item: {"task": response.task, **suite.describe(response.item)} for response in responses}
    return Scores(suite.aggregate(responses), responses, items, dict(suite.cluster_fields), ran)


def table(scores: Scores) -> list[dict[str, Any]]:
    """One row per metric: value, number of items, and where it is a mean over items its standard error and interval."""
    responses = scores.responses
    rows = []
    for key, value in scores.metrics.items():
        count = sum(response.task == key.rpartition(".")[0] for response in responses)
        row: dict[str, Any] = {"metric": key, "value": value, "items": count or len(responses)}
        if (found := interval_of(key, value, responses, scores.clusters)) is not None:
            row |= {"se": found.se, "low": found.low, "high": found.high}
        rows.append(row)
    return rows


def interval_of(key: str, value: float, responses: Iterable[Response], clusters: Mapping[str, str]) -> Interval | None:
    """The interval of a metric that is a mean over two items or more; None for one that is computed otherwise.

    Args:
        key: The metric's key.
        value: Its value.
        responses: The answers, those of other tasks too.
        clusters: Cluster of each item that belongs to one.
    """
    task, _, name = key.rpartition(".")
    own = [response for response in responses if response.task == task]
    values = [response.metrics.get(name) for response in own]
    numbers = [float(v) for v in values if isinstance(v, int | float) and math.isfinite(v)]
    if len(numbers) < 2 or len(numbers) < len(values):
        return None
    labels = [clusters.get(response.item, response.item) for response in own]
    found = interval(numbers, is_binary(numbers), clusters=labels)
    return found if math.isclose(found.mean, value, rel_tol=1e-6, abs_tol=1e-9) else None


def _open(config: EvaluateConfig) -> Checkpoints:
    """The model, the reference; or the checkpoint that an adapter is on, and the adapter."""
    find = Folders(config.offline)
    return Checkpoints(open_all([as_adapter(config.model, None, find) or config.model], find))


def _suite(config: EvaluateConfig, checkpoint: CheckpointSource) -> TaskSuite:
    tokenizer = load_tokenizer(checkpoint.path, config.runtime.trust_remote_code)
    return build_suite(_settings(config), checkpoint, tokenizer)


def _settings(config: EvaluateConfig) -> FitnessSettings:
    count = config.items_per_task
    settings = fitness_settings(replace(config.fitness, items_per_task=count, test_items_per_task=count), config.seed)
    if config.split == "all":
        # Every item once, whatever split it falls into.
        return replace(settings, splits={"search": 1.0, "selection": 0.0, "test": 0.0})
    return settings
