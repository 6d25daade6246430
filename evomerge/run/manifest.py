"""What a run is: its identity, which decides whether a folder may be gone on with, and its manifest for people."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import evomerge
from evomerge import kernels
from evomerge.candidate import WorkerSettings, device_info
from evomerge.evaluation import SPLITS
from evomerge.merging import companions
from evomerge.recipe import CheckpointRef
from evomerge.run.assemble import Assembly, searcher_settings
from evomerge.run.baselines import child_seed
from evomerge.run.card import licence_of

_LIBRARIES = ("torch", "transformers", "lm-eval", "pymoo", "cma", "numpy", "safetensors", "datasets", "hydra-core")
# Settings of the fitness that say where files lie or how many items are used; the items themselves are in the identity.
_NOT_IDENTITY = ("task_path", "items_per_task", "test_items_per_task", "prefixes")


def run_identity(assembly: Assembly, settings: WorkerSettings) -> dict[str, Any]:
    """What changes a score or a proposal. Budgets, the executor and the report do not."""
    config, template = assembly.config, assembly.template
    fitness = asdict(settings.fitness)
    return {
        "models": [ref.fingerprint for ref in template.models],
        "base": assembly.known(config.base).fingerprint if config.base else None,
        "files": _companions(assembly),
        "method": {"name": template.method, "options": dict(template.options)},
        "genome": {"settings": _plain(config.genome), "labels": list(assembly.spec.labels)}
        | ({"patterns": _plain(config.patterns)} if config.patterns else {})
        | ({"layer_pattern": config.layer_pattern} if config.layer_pattern else {}),
        "starts": {
            "points": list(assembly.start_names),
            "genomes": hashlib.sha256(assembly.starts.tobytes()).hexdigest(),
        },
        "objectives": [objective.to_json() for objective in assembly.objectives],
        "constraints": [constraint.to_json() for constraint in assembly.constraints],
        "functions": {function.name: function.content for function in assembly.functions},
        "fitness": {name: _plain(value) for name, value in fitness.items() if name not in _NOT_IDENTITY}
        | ({"prefixes": "shared"} if settings.fitness.prefixes == "shared" else {}),
        "items": settings.items,
        "judging": dict(assembly.suite.judging),
        "searcher": {"name": config.searcher.name, **_plain(asdict(searcher_settings(config)))},
        "seed": config.seed,
        "model": {
            "dtype": settings.dtype,
            "attention": settings.attention,
            "device": device_info(settings.device)["type"],
            "threads": settings.threads,
            "merge_dtype": template.dtype,
            "out_dtype": template.out_dtype,
        },
    }


def run_manifest(assembly: Assembly, settings: WorkerSettings, folder: Path) -> dict[str, Any]:
    """What the run is, for people, reports and exports; README lists the fields."""
    config, suite, template = assembly.config, assembly.suite, assembly.template
    metrics = {task: sorted(k for k in suite.metrics if k.rpartition(".")[0] == task) for task in suite.items["search"]}
    items = {split: {task: list(ids) for task, ids in tasks.items()} for split, tasks in suite.items.items()}
    command = [*(config.command or ("evomerge", "search"))]
    if not any(word.startswith("run_dir=") for word in command) and len(command) > 1:
        command.append(f"run_dir={folder}")
    return {
        "created_by": f"evomerge {evomerge.__version__}",
        "command": command,
        "config": config.to_json(),
        "method": {
            "name": template.method,
            "options": dict(template.options),
            "summary": assembly.method.summary,
            "paper": assembly.method.paper,
        },
        "models": [_model(ref, assembly) for ref in template.models],
        "base": _model(assembly.known(config.base), assembly) if config.base else None,
        "genome": {
            "settings": _plain(config.genome),
            "n_var": assembly.spec.n_var,
            "labels": list(assembly.spec.labels),
            "groups": [group.to_json() for group in assembly.spec.groups],
        },
        "starts": list(assembly.start_names),
        "objectives": [objective.to_json() for objective in assembly.objectives],
        "constraints": [constraint.to_json() for constraint in assembly.constraints],
        "tasks": {
            task: {"items": {split: len(items[split][task]) for split in SPLITS}, "metrics": keys}
            for task, keys in metrics.items()
        },
        "items": items,
        "content": dict(suite.content),
        "seeds": {
            "root": config.seed,
            **{name: child_seed(config.seed, name) for name in ("search", "sample", "masks")},
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
        "device": device_info(settings.device),
        "kernels": asdict(kernels.in_use()),
        "threads": settings.threads,
        "budgets": {"evaluations": config.evaluations, **asdict(config.budgets)},
        "warnings": list(assembly.warnings),
    }


def _companions(assembly: Assembly) -> dict[str, str]:
    """The reference's config, tokenizer and template files: they change scores as much as weights do."""
    reference = assembly.sources.reference
    paths = [reference.path / "config.json", *companions(reference)]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in paths}


def _model(ref: CheckpointRef, assembly: Assembly) -> dict[str, Any]:
    return {"label": ref.label, **ref.to_json(), "license": licence_of(assembly.sources[ref].path)}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
