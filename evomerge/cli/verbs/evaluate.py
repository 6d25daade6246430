"""``evomerge evaluate``: one model, the same tasks and the same scoring as in a search."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from evomerge.analysis import interval
from evomerge.candidate import load_model, load_tokenizer, resolve_device, resolve_dtype, thread_count
from evomerge.checkpoints import Checkpoint, locate
from evomerge.evaluation import SPLITS, Response
from evomerge.fitness import FitnessSettings, TaskSuite
from evomerge.run import locations as places
from evomerge.run.baselines import child_seed
from evomerge.run.run_config import EvaluateConfig
from evomerge.store import write_json


def run(config: EvaluateConfig) -> int:
    """Scores the model, prints a table with standard errors, and writes the answers if asked to."""
    metrics, responses, ran = evaluate(config)
    rows = table(metrics, responses)
    width = max(len(row["metric"]) for row in rows)
    for row in rows:
        error = f"  ± {row['se']:.4f}  [{row['low']:.4f}, {row['high']:.4f}]" if "se" in row else ""
        print(f"{row['metric']:{width}}  {row['value']:.4f}{error}  ({row['items']} items)")
    if config.out:
        answers = [response.to_json() for response in responses]
        data: dict[str, Any] = {"model": config.model.to_json(), "split": config.split, "run": ran}
        data |= {"metrics": metrics, "responses": answers}
        write_json(Path(config.out).expanduser(), data)
        print(config.out)
    return 0


def evaluate(config: EvaluateConfig) -> tuple[dict[str, float], list[Response], dict[str, Any]]:
    """Scores one model on the chosen split, or on every item.

    Returns:
        Metrics, responses, and how the model ran: number type, device, threads, whether shared beginnings were computed
        once.

    Raises:
        InputError: With everything that is wrong with model or tasks.
    """
    checkpoint = Checkpoint.open(
        locate(places.resolve(config.model.source), config.model.revision, offline=config.offline)
    )
    runtime = config.runtime
    tokenizer = load_tokenizer(checkpoint.path, runtime.trust_remote_code)
    suite = TaskSuite.build(_settings(config), tokenizer, config=checkpoint.config)
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
    responses = [response for split in splits for response in suite.score(model, split)[1]]
    sharing = suite.adapt(model)
    if sharing.reason:
        print(f"warning: {sharing.reason}", file=sys.stderr)
    prefixes = "shared" if sharing.share else "plain"
    ran = {"dtype": dtype, "device": device, "threads": thread_count(), "prefixes": prefixes}
    return suite.aggregate(responses), responses, ran


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
    settings = FitnessSettings(
        tasks=config.tasks,
        task_path=tuple(places.resolve(path) for path in config.task_path),
        items_per_task=config.items_per_task,
        test_items_per_task=config.items_per_task,
        seed=child_seed(config.seed, "sample"),
        **config.fitness,
    )
    if config.split == "all":
        # Every item once, whatever split it falls into.
        return replace(settings, splits={"search": 1.0, "selection": 0.0, "test": 0.0})
    return settings
